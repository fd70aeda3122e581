"""What the double has beyond a mailer; that it behaves like one is told beside the mailer's own tests."""

from datetime import UTC, datetime, timedelta

import pytest

from postroom import (
    BrokerUnavailable,
    EmailSessionException,
    Expired,
    ExpiredException,
    IdempotencyException,
    PostroomError,
    State,
)
from postroom.testing import OutboxMailer
from tests.support.payloads import BLOCK_MESSAGE, BLOCK_SESSION, message_with

SOON = timedelta(hours=1)


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


def test_time_comes_when_the_test_says_so() -> None:
    """What is due by then is decided, by the plans that were made for it; the rest waits."""
    mailer = OutboxMailer()
    now = datetime.now(UTC)
    mailer.fail_next(EmailSessionException(100))
    first, second, third = (mailer.send(BLOCK_MESSAGE, BLOCK_SESSION, send_at=now + SOON * n) for n in (1, 2, 3))
    second.reschedule(now + 9 * SOON)
    mailer.send_due(now + 3 * SOON)

    assert [receipt.state() for receipt in (first, second, third)] == [State.FAILED, State.SCHEDULED, State.SENT]
    assert [receipt.id for receipt, _ in mailer.scheduled()] == [second.id]
    assert len(mailer.outbox) == 3


def test_what_was_called_back_is_not_sent_when_its_time_comes() -> None:
    """It stays cancelled."""
    mailer = OutboxMailer()
    receipt = mailer.send(BLOCK_MESSAGE, BLOCK_SESSION, send_at=datetime.now(UTC) + SOON)
    receipt.cancel()
    mailer.send_due(datetime.now(UTC) + 2 * SOON)

    assert receipt.state() is State.CANCELLED


def test_what_was_moved_behind_its_expiry_expires() -> None:
    """As with the real one; what is due before it is sent, however late the test lets the time come."""
    mailer = OutboxMailer()
    now = datetime.now(UTC)
    moved, kept = (
        mailer.send(BLOCK_MESSAGE, BLOCK_SESSION, send_at=now + SOON, expires_at=now + 2 * SOON) for _ in range(2)
    )
    moved.reschedule(now + 2 * SOON)
    mailer.send_due(now + 5 * SOON)
    outcome = moved.outcome(timeout=0)

    assert (moved.state(), kept.state()) == (State.EXPIRED, State.SENT)
    assert isinstance(outcome, Expired)
    assert (outcome.code, outcome.attempts, outcome.accepted) == (1305, 0, [])
    with pytest.raises(ExpiredException):
        moved.result(timeout=0)


def test_a_message_that_is_known_or_refused_uses_up_no_plan() -> None:
    """The plan is for the next message, and these are none."""
    mailer = OutboxMailer()
    mailer.send(BLOCK_MESSAGE, BLOCK_SESSION, idempotency_key="k")
    mailer.fail_next(EmailSessionException(100))
    mailer.send(BLOCK_MESSAGE, BLOCK_SESSION, idempotency_key="k")
    with pytest.raises(IdempotencyException):
        mailer.send(message_with(Subject="Another"), BLOCK_SESSION, idempotency_key="k")

    assert mailer.send(BLOCK_MESSAGE, BLOCK_SESSION).state() is State.FAILED
    assert len(mailer.outbox) == 2


def test_a_lost_answer_can_be_tried() -> None:
    """The id of the error sends the same message once, as an application should."""
    mailer = OutboxMailer()
    lost = BrokerUnavailable(None, {"maybe_enqueued": True, "receipt_id": "0d6b2f6e-6a0e-4a52-8f43-4b2f7a3a9d11"})
    mailer.fail_next(lost)
    with pytest.raises(BrokerUnavailable) as caught:
        mailer.send(BLOCK_MESSAGE, BLOCK_SESSION)
    receipt = mailer.send(BLOCK_MESSAGE, BLOCK_SESSION, receipt_id=caught.value.receipt_id)

    assert receipt.id == caught.value.receipt_id
    assert len(mailer.outbox) == 1
