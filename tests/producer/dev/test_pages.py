"""The inbox's pages: what a mail says is shown, and does nothing."""

from __future__ import annotations

from postroom.dev.mail import Mail
from postroom.dev.pages import list_page, mail_page
from tests.producer.dev.test_mail import UNREADABLE

EVIL = "<script>alert('x')</script>"


def a_mail(raw: bytes | None = None) -> Mail:
    """A mail whose every text is hostile."""
    text = raw or f"From: {EVIL}\r\nTo: ann@example.com\r\nSubject: {EVIL}\r\n\r\n{EVIL}\r\n".encode()
    return Mail(1, EVIL, (EVIL,), text)


def test_everything_is_escaped() -> None:
    """In the list, in the headers, in the text, in the names of attachments."""
    raw = (
        b"Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b\r\n"
        b'Content-Disposition: attachment; filename="<script>.txt"\r\n\r\nx\r\n--b--\r\n'
    )
    for page in (list_page([a_mail()]), mail_page(a_mail()), mail_page(a_mail(raw))):
        assert "<script" not in page
        assert "&lt;script&gt;" in page


def test_html_is_shown_in_a_sandbox() -> None:
    """In a frame that may do nothing; its text is not part of our page."""
    raw = f"Subject: x\r\nContent-Type: text/html\r\n\r\n{EVIL}\r\n".encode()
    page = mail_page(a_mail(raw))

    assert '<iframe sandbox src="/mail/1/html">' in page
    assert EVIL not in page
    assert a_mail(raw).as_dict()["html"] == f"{EVIL}\r\n"


def test_an_empty_inbox_says_so() -> None:
    """And looks again."""
    assert "Nothing has come yet" in list_page([])
    assert 'http-equiv="refresh"' in list_page([])


def test_a_mail_that_cannot_be_read_says_so() -> None:
    """Beside the way to look at it as it came."""
    page = mail_page(a_mail(UNREADABLE))

    assert "cannot be read" in page
    assert "/mail/1/raw" in page
