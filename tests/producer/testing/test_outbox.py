"""What the double has beyond a mailer; that it behaves like one is told beside the mailer's own tests."""

import pytest

from postroom import BrokerUnavailable, EmailSessionException, PostroomError, State
from postroom.testing import OutboxMailer
from tests.support.payloads import BLOCK_MESSAGE, BLOCK_SESSION, message_with


def test_the_outbox_holds_what_was_sent() -> None:
    """Oldest first, opened as a worker would open it, also after closing."""
    with OutboxMailer() as mailer:
        for subject in ("one", "two"):
            mailer.send(message_with(Subject=subject), BLOCK_SESSION)

    assert [delivery.message.subject for delivery in mailer.outbox] == ["one", "two"]
    assert mailer.outbox[0].message.recipients == ("recipient@outlook.com",)


def test_a_lost_broker_is_raised_when_sending() -> None:
    """As the real mailer would, and nothing is in the outbox."""
    mailer = OutboxMailer()
    mailer.fail_next(BrokerUnavailable(None, {"maybe_enqueued": True}))
    with pytest.raises(BrokerUnavailable) as caught:
        mailer.send(BLOCK_MESSAGE, BLOCK_SESSION)

    assert caught.value.maybe_enqueued
    assert mailer.outbox == []


def test_failures_are_used_up_in_order() -> None:
    """Each plan is for one message; bad input uses none."""
    mailer = OutboxMailer()
    mailer.fail_next(EmailSessionException(100))
    mailer.hold_next()
    with pytest.raises(PostroomError):
        mailer.send(message_with(To=None), BLOCK_SESSION)
    states = [mailer.send(BLOCK_MESSAGE, BLOCK_SESSION).state() for _ in range(3)]

    assert states == [State.FAILED, State.QUEUED, State.SENT]


@pytest.mark.parametrize("timeout", [0, 1000.0, None])
def test_a_held_message_times_out_at_once(timeout: float | None) -> None:
    """A test of what happens while mail waits need not wait itself."""
    mailer = OutboxMailer()
    mailer.hold_next()
    receipt = mailer.send(BLOCK_MESSAGE, BLOCK_SESSION)
    with pytest.raises(TimeoutError):
        receipt.outcome(timeout=timeout)


def test_two_doubles_know_nothing_of_each_other() -> None:
    """Each has its own keys, outbox and receipts."""
    one, other = OutboxMailer(), OutboxMailer()
    receipt = one.send(BLOCK_MESSAGE, BLOCK_SESSION)

    assert other.outbox == []
    assert other.receipt(receipt.id).state() is State.NOT_FOUND
