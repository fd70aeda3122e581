"""What most programs do today, for `sending.py` to measure against: a Celery task that sends with the standard library.

One new session for each message, the stock transport, the threads pool; nothing is sealed and nothing typed. Started by
`sending.py` as `celery -A plain_celery worker`; it takes its settings from the environment.
"""

from __future__ import annotations

import os
import smtplib
import ssl
from email.message import EmailMessage

from celery import Celery

app = Celery("plain", broker=os.environ["BENCH_REDIS"], backend=os.environ["BENCH_REDIS"])
app.conf.update(task_acks_late=True, worker_prefetch_multiplier=1)
context = ssl.create_default_context()


@app.task
def send(port: int, username: str, password: str, number: int) -> None:
    """Send one message over a session of its own."""
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = username, f"ann{number}@example.com", f"Letter {number}"
    message.set_content(f"This is letter {number}.")
    with smtplib.SMTP_SSL("localhost", port, context=context, timeout=60) as session:
        session.login(username, password)
        session.send_message(message)
