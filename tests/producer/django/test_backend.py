"""Django's mail functions on Postroom's backend: what is queued, when, and what Django's callers get back.

The functions, the messages and the transactions are Django's own. Behind the backend is the outbox; what a worker and a
server make of such a mail is shown by the examples' tests.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import django
import pytest
from django.core import mail
from django.core.mail import EmailMessage, EmailMultiAlternatives
from django.core.mail.message import BadHeaderError
from django.db import transaction
from django.test import TestCase, override_settings

from postroom import BrokerUnavailable, EmailMessagePriority, IdempotencyException, SmtpCommandException, State
from postroom.django import EmailBackend, ImmediateEmailBackend
from postroom.errors import ArgumentException, ErrorCode, SettingsException
from postroom.testing import OutboxMailer
from postroom_contract.message import EmailMessage as Queued

AWAY = BrokerUnavailable(ErrorCode.BROKER_UNAVAILABLE, {"maybe_enqueued": False})


def a_mail(subject: str = "Order 17", to: str = "ann@example.com") -> EmailMessage:
    """A mail of Django's."""
    return EmailMessage(subject, "It is on its way.", to=[to])


def queued(outbox: OutboxMailer) -> list[Queued]:
    """The messages in the outbox."""
    return [delivery.message for delivery in outbox.outbox]


@contextmanager
def rolled_back() -> Iterator[None]:
    """A transaction, or a savepoint inside one, that comes to nothing."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def test_send_mail_queues_and_counts(outbox: OutboxMailer) -> None:
    """One call, one message with the default sender, and the number that Django promises."""
    assert mail.send_mail("Order 17", "On its way.", None, ["ann@example.com", "Bob <bob@example.com>"]) == 1

    (message,) = queued(outbox)
    assert message.recipients == ("ann@example.com", "bob@example.com")
    assert (message.from_.name, message.from_.address) == ("Shop", "shop@example.com")
    assert (message.subject, message.text, message.html) == ("Order 17", "On its way.", None)


def test_send_mail_with_html_has_both_bodies(outbox: OutboxMailer) -> None:
    """`html_message` stands beside the text."""
    mail.send_mail("Order 17", "plain", "a@example.com", ["ann@example.com"], html_message="<p>rich</p>")

    assert [(message.text, message.html) for message in queued(outbox)] == [("plain", "<p>rich</p>")]


def test_send_mass_mail_queues_each(outbox: OutboxMailer) -> None:
    """Three mails through one backend: three messages, in order, and the number."""
    mails = [(f"Order {number}", "text", "a@example.com", ["ann@example.com"]) for number in range(3)]

    assert mail.send_mass_mail(mails) == 3
    assert [message.subject for message in queued(outbox)] == ["Order 0", "Order 1", "Order 2"]


def test_mail_admins_and_managers(outbox: OutboxMailer) -> None:
    """Prefix, server's address and both lists are Django's."""
    people = ["admin@example.com"] if django.VERSION >= (6,) else [("Admin", "admin@example.com")]
    with override_settings(ADMINS=people, MANAGERS=people):
        mail.mail_admins("disk full", "text", html_message="<p>rich</p>")
        mail.mail_managers("new order", "text")

    assert [message.subject for message in queued(outbox)] == ["[shop] disk full", "[shop] new order"]
    assert {message.from_.address for message in queued(outbox)} == {"server@example.com"}
    assert [message.html for message in queued(outbox)] == ["<p>rich</p>", None]


def test_nothing_to_send_is_zero(outbox: OutboxMailer) -> None:
    """No messages, and messages to nobody: 0, nothing queued, no error."""
    backend = EmailBackend()

    assert backend.send_messages([]) == 0
    assert backend.send_messages([EmailMessage("Order 17", "text"), EmailMessage("Order 18", "text", to=[""])]) == 0
    assert EmailMessage("Order 17", "text").send() == 0
    assert outbox.outbox == []


def test_messages_may_come_from_a_generator(outbox: OutboxMailer) -> None:
    """Any iterable is taken, and read once."""
    assert EmailBackend().send_messages(a_mail(f"Order {number}") for number in range(2)) == 2
    assert len(outbox.outbox) == 2


def test_open_and_close_as_often_as_one_likes(outbox: OutboxMailer) -> None:
    """A backend is no connection: opened, closed, reopened or as a context manager, it sends."""
    backend = EmailBackend()
    backend.close()
    backend.open()
    with backend as opened:
        assert opened.send_messages([a_mail()]) == 1
    backend.close()

    assert backend.send_messages([a_mail()]) == 1


def test_many_threads_share_one_backend(outbox: OutboxMailer) -> None:
    """Ten threads with one backend: every mail is queued once."""
    backend = EmailBackend()
    threads = [threading.Thread(target=backend.send_messages, args=([a_mail(f"Order {n}")],)) for n in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(str(message.subject) for message in queued(outbox)) == [f"Order {n}" for n in range(10)]


def test_the_receipt_is_told_by_its_id(outbox: OutboxMailer) -> None:
    """After `send` the message names the receipt that tells what became of it."""
    message = a_mail()
    message.send()

    receipt = outbox.receipt(message.postroom_receipt_id)  # type: ignore[attr-defined]
    assert receipt.state() is State.SENT


def test_what_django_has_no_word_for(outbox: OutboxMailer) -> None:
    """`message.postroom` takes the options of `Mailer.send`, a session and a priority."""
    message = a_mail()
    message.postroom = {  # type: ignore[attr-defined]
        "session": "bulk",
        "priority": "NonUrgent",
        "send_at": "2099-01-01T00:00:00Z",
        "on_unknown": "hold",
    }
    message.send()

    (delivery,) = outbox.outbox
    assert delivery.message.priority is EmailMessagePriority.NonUrgent
    assert delivery.on_unknown == "hold"
    assert outbox.receipt(delivery.id).state() is State.SCHEDULED


def test_an_option_that_does_not_exist_is_refused(outbox: OutboxMailer) -> None:
    """A session nobody configured, or a slip of the pen, is told although the mail may fail in silence."""
    message = a_mail()
    message.postroom = {"session": "offise"}  # type: ignore[attr-defined]

    with pytest.raises(ArgumentException, match="no session 'offise'"):
        EmailBackend(fail_silently=True).send_messages([message])
    message.postroom = {"sent_at": "2099-01-01T00:00:00Z"}  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match="no keyword 'sent_at'"):
        message.send()
    assert outbox.outbox == []


def test_an_idempotency_key_gives_the_first_receipt(outbox: OutboxMailer) -> None:
    """The same mail twice under one key goes out once, and both messages name its receipt."""
    first, second = a_mail(), a_mail()
    for message in (first, second):
        message.postroom = {"idempotency_key": "order 17"}  # type: ignore[attr-defined]
        message.send()

    assert len(outbox.outbox) == 1
    assert first.postroom_receipt_id == second.postroom_receipt_id  # type: ignore[attr-defined]


def test_another_mail_under_the_same_key_is_refused(outbox: OutboxMailer) -> None:
    """A key that belongs to another mail is an error."""
    first, second = a_mail(), a_mail("Order 18")
    for message in (first, second):
        message.postroom = {"idempotency_key": "order 17"}  # type: ignore[attr-defined]
    first.send()

    with pytest.raises(IdempotencyException):
        second.send()


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize("fail_silently", [False, True])
def test_a_line_break_in_a_header_is_djangos_error(outbox: OutboxMailer, *, fail_silently: bool) -> None:
    """What a form may have brought in raises BadHeaderError, as with every backend, and quotes nothing."""
    injected: list[dict[str, Any]] = [
        {"subject": "a\nBcc: eve@example.com"},
        {"to": ["ann@example.com\r\nBcc: eve@example.com"]},
    ]
    for header in injected:
        message = EmailMessage(**({"to": ["ann@example.com"]} | header))
        with pytest.raises(BadHeaderError) as refused:
            EmailBackend(fail_silently=fail_silently).send_messages([message])
        assert "example.com" not in str(refused.value)
    assert outbox.outbox == []


def test_nothing_is_queued_when_one_of_several_is_wrong(outbox: OutboxMailer) -> None:
    """All messages are checked before the first is queued."""
    wrong = EmailMessage("Order 18", "text", to=["ann@example.com"], headers={"Date": "yesterday"})

    with pytest.raises(ArgumentException, match="Date is set by Postroom or not allowed"):
        EmailBackend().send_messages([a_mail(), wrong])
    assert outbox.outbox == []


def test_a_malformed_address_is_refused_or_left_out(outbox: OutboxMailer) -> None:
    """It raises; with `fail_silently` the other mails go out and the number says so."""
    mails = [a_mail(), a_mail(to="nobody at all")]

    with pytest.raises(SmtpCommandException):
        EmailBackend().send_messages(mails)
    assert EmailBackend(fail_silently=True).send_messages(mails) == 1
    assert [message.recipients for message in queued(outbox)] == [("ann@example.com",)]
    assert mails[1].postroom_receipt_id is None  # type: ignore[attr-defined]


def test_redis_away_raises(outbox: OutboxMailer, caplog: pytest.LogCaptureFixture) -> None:
    """`BrokerUnavailable` is what the caller gets, and the log has the id."""
    outbox.fail_next(AWAY)
    message = a_mail()
    with caplog.at_level(logging.ERROR), pytest.raises(BrokerUnavailable):
        message.send()

    assert message.postroom_receipt_id in caplog.text  # type: ignore[attr-defined]
    assert "example.com" not in caplog.text


def test_redis_away_in_silence(outbox: OutboxMailer, caplog: pytest.LogCaptureFixture) -> None:
    """With `fail_silently` the number is 0, the log tells of it, and the next mail is tried all the same."""
    outbox.fail_next(AWAY)

    assert EmailBackend(fail_silently=True).send_messages([a_mail(), a_mail("Order 18")]) == 1
    assert [message.subject for message in queued(outbox)] == ["Order 18"]
    assert "was not queued: BrokerUnavailable" in caplog.text


def test_no_keys_is_a_mistake_that_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without POSTROOM_KEYS the first mail raises, even in silence: nobody's mail would ever go out."""
    monkeypatch.delenv("POSTROOM_KEYS", raising=False)
    with pytest.raises(SettingsException, match="POSTROOM_KEYS"):
        EmailBackend(fail_silently=True).send_messages([a_mail()])


# ---------------------------------------------------------------- transactions


def test_a_mail_waits_for_the_commit(outbox: OutboxMailer) -> None:
    """Inside a transaction nothing is queued until it commits; the count and the receipt's id are there before."""
    message = a_mail()
    with transaction.atomic():
        assert message.send() == 1
        assert outbox.outbox == []
        told = message.postroom_receipt_id  # type: ignore[attr-defined]

    assert [delivery.id for delivery in outbox.outbox] == [told]


def test_a_mail_of_a_transaction_that_failed_is_not_sent(outbox: OutboxMailer) -> None:
    """What was rolled back mails nobody; nor does a savepoint that was, although the rest commits."""
    with rolled_back():
        a_mail("all").send()
    with transaction.atomic():
        a_mail("outer").send()
        with rolled_back():
            a_mail("inner").send()

    assert [message.subject for message in queued(outbox)] == ["outer"]


def test_the_mail_is_as_it_was_when_it_was_sent(outbox: OutboxMailer) -> None:
    """A message that the program goes on changing before the commit is sent as it was."""
    message = a_mail()
    with transaction.atomic():
        for name in ("ann", "bob"):
            message.to = [f"{name}@example.com"]
            message.send()
        message.to = ["eve@example.com"]

    assert [sent.recipients for sent in queued(outbox)] == [("ann@example.com",), ("bob@example.com",)]


def test_bad_input_is_told_before_the_commit(outbox: OutboxMailer) -> None:
    """A message that cannot be sent fails where it is sent, not where somebody commits."""
    with transaction.atomic(), pytest.raises(SmtpCommandException):
        a_mail(to="nobody at all").send()


def test_redis_away_at_the_commit_reaches_whoever_committed(outbox: OutboxMailer) -> None:
    """The data is saved, the mail is not queued, and the end of the transaction says so."""
    outbox.fail_next(AWAY)
    with pytest.raises(BrokerUnavailable), transaction.atomic():
        a_mail().send()


def test_redis_away_at_the_commit_in_silence(outbox: OutboxMailer, caplog: pytest.LogCaptureFixture) -> None:
    """With `fail_silently` the log has it, and what else waits for the commit is done."""
    outbox.fail_next(AWAY)
    done = []
    with transaction.atomic():
        EmailBackend(fail_silently=True).send_messages([a_mail()])
        transaction.on_commit(lambda: done.append(1))

    assert done == [1]
    assert "was not queued: BrokerUnavailable" in caplog.text


def test_the_immediate_backend_waits_for_nothing(outbox: OutboxMailer) -> None:
    """An alarm goes out although the transaction that raised it is rolled back."""
    with rolled_back():
        ImmediateEmailBackend().send_messages([a_mail("alarm")])

    assert [message.subject for message in queued(outbox)] == ["alarm"]


def test_djangos_test_case_may_run_what_waits(outbox: OutboxMailer) -> None:
    """Inside a test's transaction, which never commits, `captureOnCommitCallbacks` lets the mail be queued."""
    with rolled_back(), TestCase.captureOnCommitCallbacks(execute=True):
        a_mail().send()
        assert outbox.outbox == []

    assert len(outbox.outbox) == 1


def test_another_database_s_transaction_may_be_the_one(outbox: OutboxMailer) -> None:
    """POSTROOM_DATABASE names the database that mail waits for; others do not matter."""
    with override_settings(POSTROOM_DATABASE="other"):
        with transaction.atomic():
            a_mail("default").send()
            assert len(outbox.outbox) == 1
        with transaction.atomic(using="other"):
            a_mail("other").send()
            assert len(outbox.outbox) == 1

    assert [message.subject for message in queued(outbox)] == ["default", "other"]


def test_alternatives_and_attachments_just_work(outbox: OutboxMailer) -> None:
    """The message class with everything: both bodies, a file, and all kinds of recipients."""
    message = EmailMultiAlternatives(
        "Order 17", "plain", "a@example.com", ["to@example.com"], bcc=["bcc@example.com"], cc=["cc@example.com"]
    )
    message.attach_alternative("<p>rich</p>", "text/html")
    message.attach("bill.pdf", b"%PDF", "application/pdf")

    assert message.send() == 1
    (queued_message,) = queued(outbox)
    assert queued_message.recipients == ("to@example.com", "cc@example.com", "bcc@example.com")
    assert [attachment.file_name for attachment in queued_message.attachments] == ["bill.pdf"]
