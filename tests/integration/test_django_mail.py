"""Mail of Django's own classes, all the way: real transactions, Redis, worker and SMTP server.

Here stands what only the recipient's side can show. What the backend does with each call is told by the unit tests beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from email.message import EmailMessage as Arrived
from email.mime.image import MIMEImage
from typing import Any

import pytest
from django.core.mail import EmailMultiAlternatives, send_mail
from django.db import connections, transaction
from django.test import override_settings

from postroom import Mailer, Sent, State
from postroom.django import get_mailer, use_mailer
from postroom.testing import SmtpServer
from tests.support.django_site import set_up
from tests.support.post import PASSWORD, USERNAME, Post
from tests.support.waiting import wait_until

set_up()


@pytest.fixture
def mailer(post: Post) -> Iterator[Mailer]:
    """A real mailer in the place of the process's."""
    with post.mailer() as mailer, use_mailer(mailer):
        yield mailer
    connections.close_all()


@pytest.fixture
def _by_email_host(post: Post, tls_server: SmtpServer) -> Iterator[None]:
    """Django's own settings for the server, with the password as `postroom encrypt` prints it."""
    token = post.encrypt(PASSWORD, tls_server.port, use_ssl=True, username=USERNAME).token
    login = {"EMAIL_HOST_USER": USERNAME, "EMAIL_HOST_PASSWORD": token}
    server = {"EMAIL_HOST": "localhost", "EMAIL_PORT": tls_server.port, "EMAIL_USE_SSL": True}
    with override_settings(POSTROOM_SESSION=None, **login, **server):
        yield


def parts(message: Arrived) -> dict[str, Any]:
    """The leaves of a mail by their types."""
    return {part.get_content_type(): part.get_content() for part in message.walk() if not part.is_multipart()}


@pytest.mark.usefixtures("_by_email_host")
def test_a_rich_mail_arrives_whole(post: Post, mailer: Mailer, tls_server: SmtpServer) -> None:
    """Names, both bodies, an inline image, a file, hidden recipients and headers: as Django was told."""
    message = EmailMultiAlternatives(
        "Grüße",
        "plain",
        "Jürgen <shop@example.com>",
        ['"Lee, Ann" <ann@example.com>'],
        bcc=["hidden@example.com"],
        cc=["Bob <bob@example.com>"],
        reply_to=["desk@example.com"],
        headers={"X-Order": "17", "Message-ID": "<17@example.com>", "X-Priority": "1"},
    )
    message.attach_alternative('<img src="cid:logo">', "text/html")
    logo = MIMEImage(b"GIF89a", "gif")
    logo.add_header("Content-ID", "<logo>")
    message.attachments.append(logo)
    message.attach("bill.pdf", b"%PDF", "application/pdf")
    with post.worker():
        assert message.send() == 1
        outcome = get_mailer().receipt(message.postroom_receipt_id).outcome(timeout=30)  # type: ignore[attr-defined]

    assert isinstance(outcome, Sent)
    (received,) = tls_server.messages
    assert sorted(received.recipients) == ["ann@example.com", "bob@example.com", "hidden@example.com"]
    mail = received.parsed()
    assert {name: mail[name] for name in ("Subject", "From", "To", "Cc", "Reply-To", "X-Order", "Message-ID")} == {
        "Subject": "Grüße",
        "From": "Jürgen <shop@example.com>",
        "To": '"Lee, Ann" <ann@example.com>',
        "Cc": "Bob <bob@example.com>",
        "Reply-To": "desk@example.com",
        "X-Order": "17",
        "Message-ID": "<17@example.com>",
    }
    assert mail["X-Priority"] == "1 (Highest)"
    assert "hidden" not in str(mail)
    told = parts(mail)
    assert (told["text/plain"].strip(), told["text/html"].strip()) == ("plain", '<img src="cid:logo">')
    assert (told["image/gif"], told["application/pdf"]) == (b"GIF89a", b"%PDF")


@pytest.mark.usefixtures("_by_email_host")
def test_only_what_was_committed_arrives(post: Post, mailer: Mailer, tls_server: SmtpServer) -> None:
    """Two transactions, one rolled back: one mail is queued, at the commit, and that one arrives."""
    given = [EmailMultiAlternatives(name, "text", "shop@example.com", ["ann@example.com"]) for name in ("kept", "lost")]
    ids = []
    for message in given:
        with transaction.atomic():
            message.send()
            ids.append(message.postroom_receipt_id)  # type: ignore[attr-defined]
            assert mailer.receipt(ids[-1]).state() is State.NOT_FOUND
            transaction.set_rollback(message is given[1])
    with post.worker():
        wait_until(lambda: mailer.receipt(ids[0]).state() is State.SENT, 30)

    assert [message.parsed()["Subject"] for message in tls_server.messages] == ["kept"]
    assert mailer.receipt(ids[1]).state() is State.NOT_FOUND


@pytest.mark.usefixtures("mailer")
def test_djangos_defaults_deliver_to_a_relay_in_the_clear(post: Post) -> None:
    """No TLS and no login, as Django's defaults mean it: a relay on this machine takes the mail, to Bcc alone as well."""
    with SmtpServer() as relay, override_settings(POSTROOM_SESSION=None, EMAIL_PORT=relay.port), post.worker():
        send_mail("Order", "text", "shop@example.com", ["ann@example.com"])
        EmailMultiAlternatives("News", "text", "shop@example.com", bcc=["bob@example.com"]).send()
        relay.wait_for_messages(2, timeout_s=30)

    told = {message.recipients: message.parsed()["To"] for message in relay.messages}
    assert told == {("ann@example.com",): "ann@example.com", ("bob@example.com",): "undisclosed-recipients:;"}
