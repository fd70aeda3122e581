"""What arrived, compared with what was asked: a faithful copy passes, and no change to it passes unseen."""

import json
from dataclasses import replace

import pytest

from postroom.demo.arrival import Copy, differences
from tests.producer.demo.copies import COPY, RECORD, asked, edited


def test_faithful_copy_has_no_differences() -> None:
    """Envelope, headers, body and attachment are what was asked for."""
    assert differences(COPY, asked()) == []


@pytest.mark.parametrize(
    ("copy", "what"),
    [
        (replace(COPY, record=replace(RECORD, sender="other@gmail.com")), "envelope sender"),
        (replace(COPY, record=replace(RECORD, recipients=RECORD.recipients[:2])), "envelope recipients"),
        (
            replace(COPY, record=replace(RECORD, recipients=(*RECORD.recipients, "cc@outlook.com"))),
            "envelope recipients",
        ),
        (edited(b"From: sender", b"From: other"), "From"),
        (edited(b"To: to@", b"To: other@"), "To"),
        (edited(b"Cc: cc@outlook.com\r\n", b""), "Cc"),
        (edited(b"Priority:", b"Bcc: bcc@outlook.com\r\nPriority:"), "Bcc in the message"),
        (edited(b"Priority:", b"X-Also-To: <bcc@outlook.com>\r\nPriority:"), "Bcc in the message"),
        (edited(b"email subject", b"email object"), "Subject"),
        (edited(b"Priority: urgent\r\n", b""), "Priority"),
        (edited(b"\r\nExample email body", b"\r\nAnother email body"), "body"),
        (edited(b"text/plain; charset", b"text/html; charset"), "body"),
        (edited(b"R3LDvM", b"R3LDvN"), "attachments"),
        (edited(b"=notes.txt", b"=other.txt"), "attachments"),
        (replace(COPY, tls_version=None), "TLS"),
    ],
    ids=[
        *("sender", "recipient lost", "recipient twice", "From", "To", "Cc", "Bcc header", "Bcc elsewhere", "subject"),
        *("priority", "text", "body type", "octet of a file", "name of a file", "clear text"),
    ],
)
def test_every_change_is_seen(copy: Copy, what: str) -> None:
    """The complaint names what is different."""
    assert [complaint.partition(":")[0] for complaint in differences(copy, asked())] == [what]


def test_copy_tells_who_is_hidden_and_which_files_are_whole() -> None:
    """Hidden is who got the message without being named in it."""
    told = COPY.as_dict()

    assert told["hidden_recipients"] == ["bcc@outlook.com"]
    assert told["attachments"] == [{"name": "notes.txt", "octets": 33, "unchanged": True}]
    assert json.loads(json.dumps(told)) == told
    assert edited(b"R3LDvM", b"R3LDvN").as_dict()["attachments"][0]["unchanged"] is False


def test_message_without_a_body_is_no_mistake_of_the_reader() -> None:
    """Whatever arrives can be looked at."""
    assert edited(b"multipart/mixed; boundary=cut", b"application/pdf").body == ("", "")
