"""The double's memory: the same answers as the ledger's, to the same questions."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from postroom.testing.memory import MemoryTracking
from postroom_broker.ledger.orders import Answer, Identity
from postroom_broker.results import StoredResult
from postroom_contract.delivery import Delivery
from postroom_contract.errors import IdempotencyException, PropertyValueOutOfRangeException
from postroom_contract.outcome import Report, Sent, State
from tests.support.payloads import BLOCK_MESSAGE, BLOCK_SESSION

TOLD = '{"status": "FAILURE", "result": null}'
SOON = timedelta(hours=1)


@pytest.fixture
def memory() -> MemoryTracking:
    """Nothing in it."""
    return MemoryTracking()


def delivery(**wishes: Any) -> Delivery:
    """A delivery of the block's message."""
    return Delivery.accept({"session": BLOCK_SESSION, "message": BLOCK_MESSAGE, **wishes})


def state_of(memory: MemoryTracking, one: Delivery) -> State | None:
    """What the record says."""
    record = memory.record(one.id)
    return None if record is None else record.state


def test_what_is_not_known(memory: MemoryTracking) -> None:
    """No record, no result; nothing to call back, to move or to release."""
    assert (memory.record("d1"), memory.read("d1"), memory.wait("d1", None)) == (None, None, None)
    assert memory.call_back("d1", State.CANCELLED, TOLD, None) is Answer.NOT_FOUND
    assert not memory.reschedule("d1", datetime.now(UTC))
    assert not memory.release("d1")


def test_a_delivery_is_queued_or_waits(memory: MemoryTracking) -> None:
    """By its time: past is now."""
    now = datetime.now(UTC)
    queued, late, waiting = delivery(), delivery(send_at=now - SOON), delivery(send_at=now + SOON)
    known = [memory.enter(one, Identity([one.id])) for one in (queued, late, waiting)]

    assert known == [None, None, None]
    assert [state_of(memory, one) for one in (queued, late)] == [State.QUEUED] * 2
    assert state_of(memory, waiting) is State.SCHEDULED
    assert memory.due == {waiting.id: now + SOON}


def test_a_delivery_is_known_by_its_id_and_its_key(memory: MemoryTracking) -> None:
    """By each hash of either, as after a rotation; with another fingerprint it is refused."""
    one, other = delivery(), delivery()
    memory.enter(one, Identity(["print"], ["key"]))

    assert memory.enter(one, Identity(["new print", "print"])) == one.id
    assert memory.enter(other, Identity(["new print", "print"], ["new key", "key"])) == one.id
    for known, identity in ((one, Identity(["x"])), (other, Identity(["x"], ["key"]))):
        with pytest.raises(IdempotencyException) as caught:
            memory.enter(known, identity)
        assert caught.value.facts == {"receipt_id": one.id}
    assert memory.record(other.id) is None


def test_a_delivery_whose_time_is_over_is_refused_unless_it_is_known(memory: MemoryTracking) -> None:
    """As by the ledger."""
    past = delivery(expires_at=datetime.now(UTC) - SOON)
    with pytest.raises(PropertyValueOutOfRangeException):
        memory.enter(past, Identity(["print"], ["key"]))
    assert memory.record(past.id) is None
    one = delivery()
    memory.enter(one, Identity(["print"], ["key"]))

    assert memory.enter(past, Identity(["print"], ["key"])) == one.id


def test_an_end_is_told_and_stays(memory: MemoryTracking) -> None:
    """It waits for no time any more, and cannot be called back."""
    one = delivery(send_at=datetime.now(UTC) + SOON)
    memory.enter(one, Identity(["print"]))
    memory.end(Sent(one.id, report=Report()), '{"status": "SUCCESS", "result": 1}')

    assert memory.due == {}
    assert memory.call_back(one.id, State.CANCELLED, TOLD, None) is Answer.OVER
    assert state_of(memory, one) is State.SENT
    assert memory.read(one.id) == memory.wait(one.id, 5) == StoredResult("SUCCESS", 1)


def test_what_waits_is_moved_or_called_back(memory: MemoryTracking) -> None:
    """Called back, it cannot be moved."""
    one, later = delivery(send_at=datetime.now(UTC) + SOON), datetime.now(UTC) + 2 * SOON
    memory.enter(one, Identity(["print"]))

    assert memory.reschedule(one.id, later)
    assert memory.due == {one.id: later}
    assert memory.call_back(one.id, State.CANCELLED, TOLD, None) is Answer.ENDED
    assert (state_of(memory, one), memory.due) == (State.CANCELLED, {})
    assert memory.read(one.id) == StoredResult("FAILURE", None)
    assert not memory.reschedule(one.id, later)
