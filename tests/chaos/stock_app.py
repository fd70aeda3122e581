"""The worker that most programs have: Celery, its own Redis transport, a task that sends with smtplib.

It is given the best settings known for not losing and not doubling: late acknowledgement, a short visibility timeout with
frequent sweeps, results that outlive a broken connection, retries for everything that may pass. `stock_side` starts it as
`celery -A tests.chaos.stock_app worker` and takes `app` from here; it takes its settings from the environment.
"""

from __future__ import annotations

import os
import smtplib
from email.message import EmailMessage
from typing import Any

from celery import Celery, Task

from tests.chaos.judge import FIRST_PERMANENT
from tests.chaos.mails import DOMAIN

# As Postroom's: five attempts, one to eight seconds apart.
MOST_RETRIES = 4
# Longer than the longest send and the longest wait together, or what waits for its time is given out again.
VISIBILITY_S = 30


def make_app(redis_url: str) -> Celery:
    """The application for a Redis."""
    app = Celery("stock", broker=redis_url, backend=redis_url, set_as_current=False)
    app.conf.update(
        task_acks_late=True,
        task_acks_on_failure=True,
        worker_prefetch_multiplier=1,
        worker_deduplicate_successful_tasks=True,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={
            "visibility_timeout": VISIBILITY_S,
            "unacked_restore_interval": 2,
            "unacked_restore_throttle": 1,
            "unacked_mutex_expire": 10,
            "socket_timeout": 15,
            "socket_connect_timeout": 5,
            "socket_keepalive": True,
            "health_check_interval": 10,
        },
        result_backend_always_retry=True,
        result_backend_max_retries=5,
    )
    app.task(bind=True, name="stock.send", max_retries=MOST_RETRIES)(send)
    return app


def send(self: Task[Any, Any], port: int, letter: dict[str, Any]) -> dict[str, int]:
    """Send one message over a session of its own, and return who was refused."""
    message = EmailMessage()
    sender, recipients = letter["sender"], letter["recipients"]
    message["From"], message["To"], message["Subject"] = sender, ", ".join(recipients), "Mail"
    message["Message-ID"] = letter["message_id"]
    message.set_content(letter["body"])
    name = f"{os.environ['CHAOS_NAME']}.{DOMAIN}"
    try:
        with smtplib.SMTP("127.0.0.1", port, local_hostname=name, timeout=60) as session:
            answers = session.send_message(message, sender, recipients)
    except smtplib.SMTPRecipientsRefused as everybody:
        answers = everybody.recipients
    except (smtplib.SMTPException, OSError) as failure:
        raise self.retry(exc=OSError(str(failure)), countdown=2**self.request.retries) from failure
    later = [recipient for recipient, (code, _) in answers.items() if code < FIRST_PERMANENT]
    refused = letter.get("refused", {}) | {each: code for each, (code, _) in answers.items() if each not in later}
    if later:
        remaining = letter | {"recipients": later, "refused": refused}
        raise self.retry(args=(port, remaining), exc=OSError("busy"), countdown=2**self.request.retries)
    if len(refused) == letter["everybody"]:
        raise OSError("refused")
    return dict(refused)


if "CHAOS_REDIS" in os.environ:
    app = make_app(os.environ["CHAOS_REDIS"])
