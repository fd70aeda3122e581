"""How long composing takes, beside the standard library's generator: run it, and read the last column.

Owns nothing but the comparison: both sides write the same message, in turns, so that a busy machine slows both alike.
Run it with the project's own interpreter, `.venv/bin/python ops/bench/compose.py`; the median of the turns is shown.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from email import policy
from email.message import EmailMessage
from email.utils import format_datetime
from statistics import median

from postroom_contract.delivery import Delivery
from postroom_worker.composer import compose

TURNS = 30
# One turn lasts long enough for the clock, and short enough that both sides meet the same machine.
TURN_S = 0.02

PARAGRAPH = "The quick brown fox jumps over the lazy dog, and does so again.\n"
MESSAGES: dict[str, dict[str, object]] = {
    "small text": {"body": PARAGRAPH * 9},
    "small text, UTF-8": {"body": "Grüße aus der Poststelle, und bis bald.\n" * 15, "subject": "Grüße"},
    "text and HTML": {"body": PARAGRAPH * 30, "html_body": f"<p>{PARAGRAPH}</p>" * 30},
    "text, HTML and 100 kB": {
        "body": PARAGRAPH * 30,
        "html_body": f"<p>{PARAGRAPH}</p>" * 30,
        "attachments": [{"name": "report.pdf", "content": bytes(range(256)) * 400}],
    },
}


def with_the_standard_library(delivery: Delivery, contents: list[bytes]) -> bytes:
    """Write the same message with `email.message.EmailMessage`."""
    message = delivery.message
    mail = EmailMessage(policy=policy.SMTP)
    mail["Date"] = format_datetime(delivery.accepted_at)
    mail["From"] = message.from_.wire
    mail["To"] = ", ".join(address.wire for address in message.to)
    mail["Subject"] = message.subject or ""
    mail["Message-ID"] = delivery.message_id
    mail.set_content(message.text or "")
    if message.html is not None:
        mail.add_alternative(message.html, subtype="html")
    for attachment, content in zip(message.attachments, contents, strict=True):
        maintype, _, subtype = attachment.media_type.partition("/")
        mail.add_attachment(content, maintype=maintype, subtype=subtype, filename=attachment.file_name)
    return mail.as_bytes()


def microseconds(work: Callable[[], object]) -> float:
    """How long one run takes, measured over a turn."""
    runs = 0
    started = time.perf_counter()
    while (elapsed := time.perf_counter() - started) < TURN_S:
        work()
        runs += 1
    return elapsed / runs * 1e6


def compare(message: dict[str, object]) -> tuple[float, float]:
    """The medians of both sides, turn about."""
    delivery = Delivery.accept(
        {
            "message": {"to": "to@example.com", "from_": "from@example.org", "subject": "Hello", **message},
            "session": {"ServerDetails": {"Host": "localhost", "Port": 25}, "Credentials": {"Anonymous": True}},
        }
    )
    contents = [attachment.content or b"" for attachment in delivery.message.attachments]
    ours, theirs = [], []
    for _ in range(TURNS):
        ours.append(microseconds(lambda: compose(delivery, contents)))
        theirs.append(microseconds(lambda: with_the_standard_library(delivery, contents)))
    return median(ours), median(theirs)


def main() -> None:
    """Print one line for each message."""
    print(f"{'':24}{'postroom':>12}{'email':>12}{'ratio':>8}")
    for name, message in MESSAGES.items():
        ours, theirs = compare(message)
        print(f"{name:24}{ours:9.0f} us{theirs:9.0f} us{theirs / ours:7.0f}x")


if __name__ == "__main__":
    main()
