"""Copies of messages as a server would have them, written by hand: octets on the wire, and what is right about them."""

from dataclasses import replace

from postroom.demo.arrival import Copy
from postroom.demo.examples import ATTACHMENTS, Place, message
from postroom.testing.smtp_record import MessageRecord
from postroom_contract.message import EmailMessage

# What the copy below is a copy of.
ASKED = message(
    To=[{"Address": "to@outlook.com"}],
    Cc=[{"Address": "cc@outlook.com"}],
    Bcc=[{"Address": "bcc@outlook.com"}],
    Priority="Urgent",
    Attachments=["/somewhere/notes.txt"],
)

DATA = b"""\
From: sender@gmail.com
To: to@outlook.com
Cc: cc@outlook.com
Subject: Example email subject
Priority: urgent
Message-ID: <the-id@gmail.com>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=cut

--cut
Content-Type: text/plain; charset=utf-8

Example email body
--cut
Content-Type: text/plain
Content-Transfer-Encoding: base64
Content-Disposition: attachment; filename=notes.txt

R3LDvMOfZSBhdXMgZGVyIERlbW8NCi4KbGFzdCBsaW5l
--cut--
""".replace(b"\n", b"\r\n")

RECORD = MessageRecord(
    connection_id=1,
    accepted_at=0.0,
    sender="sender@gmail.com",
    parameters={},
    recipients=("to@outlook.com", "cc@outlook.com", "bcc@outlook.com"),
    username="sender@gmail.com",
    data=DATA,
)
COPY = Copy(Place.TLS, 1, "TLSv1.3", RECORD)


def asked() -> EmailMessage:
    """The message that `COPY` is a copy of."""
    assert "notes.txt" in ATTACHMENTS
    return EmailMessage.accept(ASKED)


def edited(old: bytes, new: bytes) -> Copy:
    """The copy with something in its octets changed."""
    assert old in DATA
    return replace(COPY, record=replace(RECORD, data=DATA.replace(old, new)))
