"""The development inbox: what is sent to it can be seen, by this machine alone."""

from __future__ import annotations

import json
import smtplib
import urllib.request
from collections.abc import Iterator
from email.message import EmailMessage
from urllib.error import HTTPError

import pytest

from postroom.dev import inbox as inbox_module
from postroom.dev.inbox import Inbox
from tests.conftest import require
from tests.producer.dev.test_mail import UNREADABLE
from tests.support.browser import Look, chromium, look_at


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    """An inbox with one mail, with HTML that would do harm, and an attachment."""
    with Inbox() as inbox:
        mail = EmailMessage()
        mail["From"], mail["To"], mail["Subject"] = "shop@example.com", "ann@example.com", "Your order"
        mail.set_content("It is on its way.")
        mail.add_alternative(
            "<p>On its way</p><script>document.title='owned'</script><img src='http://127.0.0.1:9/x'>", subtype="html"
        )
        mail.add_attachment(b"%PDF", maintype="application", subtype="pdf", filename="../../evil\u202e.html")
        with smtplib.SMTP("127.0.0.1", inbox.smtp_port) as client:
            client.send_message(mail, to_addrs=["ann@example.com", "blind@example.com"])
        yield inbox


def get(inbox: Inbox, path: str, host: str | None = None) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body."""
    request = urllib.request.Request(f"http://127.0.0.1:{inbox.web_port}{path}")
    if host is not None:
        request.add_header("Host", host)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            return answer.status, dict(answer.headers), answer.read()
    except HTTPError as refused:
        return refused.code, dict(refused.headers), refused.read()


def test_scripts_get_it_as_json(inbox: Inbox) -> None:
    """Blind copies too: they are in the envelope."""
    [mail] = json.loads(get(inbox, "/api/mails")[2])

    assert (mail["number"], mail["subject"], mail["text"]) == (1, "Your order", "It is on its way.\r\n")
    assert mail["recipients"] == ["ann@example.com", "blind@example.com"]
    assert len(mail["attachments"]) == 1


def test_people_get_it_as_a_page(inbox: Inbox) -> None:
    """And may have it as it came."""
    assert b"Your order" in get(inbox, "/")[2]
    assert b"It is on its way." in get(inbox, "/mail/1")[2]
    assert b"Subject: Your order" in get(inbox, "/mail/1/raw")[2]


def test_a_mails_own_html_may_do_nothing(inbox: Inbox) -> None:
    """Its policy is a sandbox; our own pages run no script either."""
    policy = get(inbox, "/mail/1/html")[1]["Content-Security-Policy"]

    assert policy.startswith("sandbox; default-src 'none'")
    assert "script-src" not in policy
    assert get(inbox, "/")[1]["Content-Security-Policy"].startswith("default-src 'none'")


def test_an_attachment_is_downloaded_under_a_name_of_ours(inbox: Inbox) -> None:
    """Never shown, and never under a name that the mail has chosen."""
    status, headers, body = get(inbox, "/mail/1/attachment/0")

    assert (status, body) == (200, b"%PDF")
    assert headers["Content-Disposition"] == 'attachment; filename="attachment-0"'
    assert headers["Content-Type"] == "application/octet-stream"


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "", "127.0.0.1"])
def test_others_names_are_not_answered(inbox: Inbox, host: str) -> None:
    """A page on the web whose name leads to this machine could read mail otherwise."""
    assert get(inbox, "/api/mails", host=host)[0] == 421


@pytest.mark.parametrize(
    "path", ["/mail/0", "/mail/2", "/mail/-1", "/mail/x", "/mail/1/attachment/9", "/x", "/mail/1/x"]
)
def test_what_is_not_there_is_not_found(inbox: Inbox, path: str) -> None:
    """In a sentence."""
    assert get(inbox, path)[0] == 404


def test_a_mail_that_cannot_be_read_hides_no_other(inbox: Inbox) -> None:
    """Both are listed, as a page and for scripts, and it can be had as it came."""
    with smtplib.SMTP("127.0.0.1", inbox.smtp_port) as client:
        client.sendmail("a@example.com", ["b@example.com"], UNREADABLE)
    good, bad = json.loads(get(inbox, "/api/mails")[2])

    assert (good["trouble"], good["subject"]) == (None, "Your order")
    assert "cannot be read" in bad["trouble"]
    assert get(inbox, "/")[0] == get(inbox, "/mail/2")[0] == 200
    assert UNREADABLE.strip() in get(inbox, "/mail/2/raw")[2]


def test_the_oldest_go_when_there_are_too_many(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """By number or by size; numbers stay, and the newest is always there."""
    monkeypatch.setattr(inbox_module, "MOST_MAILS", 3)
    with smtplib.SMTP("127.0.0.1", inbox.smtp_port) as client:
        for _ in range(4):
            client.sendmail("a@example.com", ["b@example.com"], b"Subject: s\r\n\r\nb\r\n")
    assert [mail.number for mail in inbox.mails] == [3, 4, 5]
    assert (get(inbox, "/mail/1")[0], get(inbox, "/mail/5")[0]) == (404, 200)
    monkeypatch.setattr(inbox_module, "MOST_OCTETS", 10)
    assert [mail.number for mail in inbox.mails] == [5]


def test_a_mail_with_the_largest_attachments_is_taken(inbox: Inbox) -> None:
    """A worker may send 25 MB of them, which are a third more on the way."""
    with smtplib.SMTP("127.0.0.1", inbox.smtp_port) as client:
        client.ehlo()

        assert int(client.esmtp_features["size"]) > 25_000_000 * 4 / 3


def test_a_browser_is_not_taken_in(inbox: Inbox) -> None:
    """The mail's script does not run, and its picture is not fetched."""
    require("Chromium and playwright-core", is_there=chromium() is not None)
    [page, frame] = look_at(
        [
            Look(f"http://127.0.0.1:{inbox.web_port}/mail/1", "iframe"),
            Look(f"http://127.0.0.1:{inbox.web_port}/mail/1/html"),
        ]
    )

    assert "It is on its way." in page.text
    assert (frame.text.strip(), frame.title) == ("On its way", "")
