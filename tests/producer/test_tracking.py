"""The two places that know of a delivery: what the ledger says ends a wait, and what is told where outcomes are kept."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from postroom.tracking import Tracking
from postroom_broker.connection import connect
from postroom_broker.ledger.orders import Answer, Identity, Orders
from postroom_broker.ledger.record import record_key
from postroom_broker.results import Results, StoredResult
from postroom_broker.task_message import SealedDelivery
from postroom_contract.names import QUEUE_NORMAL, RESULT_KEY
from postroom_contract.outcome import State
from tests.support import valkey as direct
from tests.support.valkey import ValkeyServer

DELIVERY = SealedDelivery("0d6b2f6e-6a0e-4a52-8f43-4b2f7a3a9d11", QUEUE_NORMAL, "v1.k1.payload")
TOLD = '{"status": "FAILURE", "result": null}'
RETRIED = '{"status": "RETRY", "result": null}'
SOON = timedelta(hours=1)


@pytest.fixture
def orders(redis_url: str) -> Iterator[Orders]:
    """The ledger of an empty server."""
    broker = connect(redis_url)
    yield Orders(broker, has_results=True)
    broker.close()


@pytest.fixture
def tracking(redis_url: str, orders: Orders) -> Iterator[Tracking]:
    """Both in one place, as usual."""
    client = connect(redis_url)
    yield Tracking(orders, Results(client))
    client.close()


def test_it_asks_the_ledger_and_the_results(tracking: Tracking, orders: Orders) -> None:
    """The record is the ledger's, the result Celery's; moving and releasing are the ledger's."""
    orders.enter(DELIVERY, Identity(["print"]), datetime.now(UTC) + SOON)
    record = tracking.record(DELIVERY.id)

    assert record is not None
    assert record.state is State.SCHEDULED
    assert tracking.read(DELIVERY.id) is None
    assert tracking.reschedule(DELIVERY.id, datetime.now(UTC) + SOON)
    assert not tracking.release(DELIVERY.id)
    assert tracking.call_back(DELIVERY.id, State.CANCELLED, TOLD, None) is Answer.ENDED
    assert tracking.read(DELIVERY.id) == tracking.wait(DELIVERY.id, None) == StoredResult("FAILURE", None)


@pytest.mark.parametrize(("state", "counts"), [("queued", True), ("retrying", False), ("sending", False)])
def test_a_revoke_is_no_end_of_what_was_begun(
    tracking: Tracking, orders: Orders, redis_url: str, state: str, *, counts: bool
) -> None:
    """Celery calls it revoked as soon as it is asked to; what its attempts achieved, its worker is still to tell."""
    orders.enter(DELIVERY, Identity(["print"]))
    with direct.connect(redis_url) as client:
        client.hset(record_key(DELIVERY.id), "state", state)
        client.set(RESULT_KEY.format(id=DELIVERY.id), '{"status": "REVOKED", "result": null}', ex=60)

    told = StoredResult("REVOKED", None) if counts else None
    assert tracking.read(DELIVERY.id) == tracking.wait(DELIVERY.id, 0) == told


def test_what_is_not_kept_any_more_is_not_waited_for(tracking: Tracking, orders: Orders, redis_url: str) -> None:
    """The record of what was called back is kept for a month, its result for a day: whoever asks later does not hang."""
    orders.enter(DELIVERY, Identity(["print"]))
    assert tracking.call_back(DELIVERY.id, State.CANCELLED, TOLD, None) is Answer.ENDED
    with direct.connect(redis_url) as client:
        client.delete(RESULT_KEY.format(id=DELIVERY.id))

    assert tracking.wait(DELIVERY.id, None) is None


def test_a_held_delivery_is_not_waited_for(tracking: Tracking, orders: Orders, redis_url: str) -> None:
    """An operator may take days: the wait ends, whatever its limit, with what is there."""
    orders.enter(DELIVERY, Identity(["print"]))
    with direct.connect(redis_url) as client:
        client.hset(record_key(DELIVERY.id), "state", "held")
        client.set(RESULT_KEY.format(id=DELIVERY.id), RETRIED, ex=60)

    assert tracking.wait(DELIVERY.id, None) == StoredResult("RETRY", None)


def test_what_left_no_trace_is_not_waited_for(tracking: Tracking) -> None:
    """None will appear: the wait ends, whatever its limit."""
    assert tracking.wait(DELIVERY.id, None) is None


def test_a_wait_ends_when_its_time_is_over(tracking: Tracking, orders: Orders) -> None:
    """Queued, and nobody at work."""
    orders.enter(DELIVERY, Identity(["print"]))

    assert tracking.wait(DELIVERY.id, 0.05) is None


def test_what_the_ledger_has_is_told_where_results_are_kept_apart(
    orders: Orders, redis_url: str, valkey_program: Path, tmp_path: Path
) -> None:
    """A retry's record on the other server does not hide it, and what a worker has stored there comes first."""
    with ValkeyServer(valkey_program, tmp_path) as elsewhere, direct.connect(elsewhere.url) as results:
        broker, client = connect(redis_url), connect(elsewhere.url)
        tracking = Tracking(Orders(broker, has_results=False), Results(client))
        orders.enter(DELIVERY, Identity(["print"]), datetime.now(UTC) + SOON)
        results.set(RESULT_KEY.format(id=DELIVERY.id), RETRIED, ex=60)

        assert tracking.call_back(DELIVERY.id, State.CANCELLED, TOLD, None) is Answer.ENDED
        assert tracking.wait(DELIVERY.id, None) == StoredResult("FAILURE", None)
        results.set(RESULT_KEY.format(id=DELIVERY.id), '{"status": "SUCCESS", "result": null}', ex=60)
        assert tracking.call_back(DELIVERY.id, State.CANCELLED, TOLD, None) is Answer.OVER
        assert tracking.wait(DELIVERY.id, None) == StoredResult("SUCCESS", None)
        assert tracking.call_back("another", State.CANCELLED, TOLD, None) is Answer.NOT_FOUND
        broker.close()
        client.close()
