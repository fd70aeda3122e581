"""Deliveries taken in, told of, moved and called back: what is in Redis afterwards, and what is known when it fails."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from postroom.testing import FullListener, SilentListener, free_port
from postroom_broker import keys
from postroom_broker.connection import connect
from postroom_broker.ledger.orders import Answer, Identity, Orders
from postroom_broker.ledger.record import OPEN_EXPIRY_S, record_key
from postroom_broker.task_message import SealedDelivery, task_message
from postroom_contract.errors import BrokerUnavailable, IdempotencyException, PropertyValueOutOfRangeException
from postroom_contract.names import QUEUE_NORMAL, RESULT_KEY
from postroom_contract.outcome import State
from tests.support import valkey as direct
from tests.support.redis_proxy import Fault, RedisProxy
from tests.support.valkey import ValkeyServer

DELIVERY = SealedDelivery("0d6b2f6e-6a0e-4a52-8f43-4b2f7a3a9d11", QUEUE_NORMAL, "v1.k1.payload")
OTHER = SealedDelivery("8a4c8a63-7a9c-43a2-8b86-50a3fd0d1f7c", QUEUE_NORMAL, "v1.k1.payload")
RECORD = record_key(DELIVERY.id)
IDENTITY = Identity(["print"])
SOON = timedelta(hours=1)


def enter(url: str, delivery: SealedDelivery = DELIVERY, identity: Identity = IDENTITY) -> str:
    """Take a delivery in, once."""
    broker = connect(url)
    try:
        return Orders(broker, has_results=True).enter(delivery, identity)
    finally:
        broker.close()


def queued(url: str) -> int:
    """How many messages are in the queue."""
    with direct.connect(url) as client:
        return int(client.llen(QUEUE_NORMAL))


def state_of(url: str) -> bytes | None:
    """What the record says."""
    with direct.connect(url) as client:
        state: bytes | None = client.hget(RECORD, "state")
        return state


@pytest.fixture
def redis_url(each_redis_url: str) -> str:
    """An empty server, of each kind in turn: the scripts must do on all of them."""
    return each_redis_url


@pytest.fixture
def orders(redis_url: str) -> Iterator[Orders]:
    """The ledger of an empty server."""
    broker = connect(redis_url)
    yield Orders(broker, has_results=True)
    broker.close()


def test_a_delivery_is_queued_and_recorded_together(orders: Orders, redis_url: str) -> None:
    """The message lies in its queue, and the record says so until long after anybody could send it."""
    assert orders.enter(DELIVERY, IDENTITY) == DELIVERY.id
    record = orders.read(DELIVERY.id)

    assert record is not None
    assert (record.state, record.progress, record.is_ended) == (State.QUEUED, None, False)
    with direct.connect(redis_url) as client:
        assert client.llen(QUEUE_NORMAL) == 1
        assert 0 < client.ttl(RECORD) <= OPEN_EXPIRY_S


def test_the_oldest_message_is_taken_first(orders: Orders, redis_url: str) -> None:
    """Pushed on the left, taken from the right, as kombu does."""
    for delivery in (DELIVERY, OTHER):
        orders.enter(delivery, IDENTITY)
    with direct.connect(redis_url) as client:
        taken = [client.rpop(QUEUE_NORMAL).decode() for _ in range(2)]

    assert [DELIVERY.id in taken[0], OTHER.id in taken[1]] == [True, True]


def test_the_record_notes_since_when_a_delivery_is_due(orders: Orders, redis_url: str) -> None:
    """By the server's clock: now, or the time that the sender has named, also when he moves it."""
    with direct.connect(redis_url) as client:
        before = client.time()[0]
        orders.enter(DELIVERY, IDENTITY)
        now = float(client.hget(RECORD, "due"))
        soon = datetime.now(UTC) + SOON
        orders.enter(OTHER, IDENTITY, soon)
        named = float(client.hget(record_key(OTHER.id), "due"))
        orders.reschedule(OTHER.id, soon + SOON)
        moved = float(client.hget(record_key(OTHER.id), "due"))

        assert before <= now <= client.time()[0] + 1
    assert named == pytest.approx(soon.timestamp(), abs=0.01)
    assert moved == pytest.approx((soon + SOON).timestamp(), abs=0.01)


def test_what_is_not_known_has_no_record(orders: Orders) -> None:
    """Never heard of is told apart from queued."""
    assert orders.read(DELIVERY.id) is None


def test_the_same_delivery_is_taken_in_once(orders: Orders, redis_url: str) -> None:
    """Sent again by its id after a lost answer: the same id, and one message."""
    assert [orders.enter(DELIVERY, IDENTITY) for _ in range(2)] == [DELIVERY.id] * 2
    assert queued(redis_url) == 1


def test_another_message_under_a_known_id_is_refused(orders: Orders, redis_url: str) -> None:
    """A receipt id belongs to one message."""
    orders.enter(DELIVERY, IDENTITY)
    with pytest.raises(IdempotencyException) as caught:
        orders.enter(DELIVERY, Identity(["another"]))

    assert caught.value.facts == {"receipt_id": DELIVERY.id}
    assert queued(redis_url) == 1


def test_a_key_gives_the_first_delivery_again(orders: Orders, redis_url: str) -> None:
    """A second delivery with the same key and content is the first; with other content it is refused."""
    assert orders.enter(DELIVERY, Identity(["print"], ["key"])) == DELIVERY.id
    assert orders.enter(OTHER, Identity(["print"], ["key"])) == DELIVERY.id
    with pytest.raises(IdempotencyException):
        orders.enter(OTHER, Identity(["another"], ["key"]))

    assert queued(redis_url) == 1
    with direct.connect(redis_url) as client:
        assert 0 < client.ttl("postroom.idempotency.key") <= 24 * 3600


def test_a_key_outlives_a_rotation(orders: Orders, redis_url: str) -> None:
    """With a new key in front, the hash by the older one still finds the delivery."""
    orders.enter(DELIVERY, Identity(["old print"], ["old key"]))

    assert orders.enter(OTHER, Identity(["new print", "old print"], ["new key", "old key"])) == DELIVERY.id
    assert orders.enter(DELIVERY, Identity(["new print", "old print"])) == DELIVERY.id
    assert queued(redis_url) == 1


def test_a_scheduled_delivery_waits_and_then_is_queued(orders: Orders, redis_url: str) -> None:
    """Not in the queue, listed with its time, remembered until long after it; once it is promoted it counts as queued."""
    due_at = datetime.now(UTC).replace(microsecond=0) + SOON
    orders.enter(DELIVERY, Identity(["print"], ["key"]), due_at)
    with direct.connect(redis_url) as client:
        assert client.llen(QUEUE_NORMAL) == 0
        assert client.ttl(RECORD) > OPEN_EXPIRY_S + 3500
        assert client.ttl("postroom.idempotency.key") > 24 * 3600 + 3500
        assert orders.read(DELIVERY.id).state is State.SCHEDULED  # type: ignore[union-attr]
        assert list(orders.scheduled()) == [(DELIVERY.id, due_at)]
        client.zrem(keys.DELAYED, DELIVERY.id)
        assert orders.read(DELIVERY.id).state is State.QUEUED  # type: ignore[union-attr]


def test_a_time_that_has_passed_is_now(orders: Orders, redis_url: str) -> None:
    """By the server's clock."""
    orders.enter(DELIVERY, IDENTITY, datetime.now(UTC) - SOON)

    assert (queued(redis_url), list(orders.scheduled())) == (1, [])


def test_a_scheduled_delivery_can_be_moved_while_it_waits(orders: Orders, redis_url: str) -> None:
    """The record lives as long as the new time asks; what has left cannot be moved."""
    orders.enter(DELIVERY, IDENTITY, datetime.now(UTC) + SOON)
    later = (datetime.now(UTC) + 5 * SOON).replace(microsecond=0)

    assert orders.reschedule(DELIVERY.id, later)
    assert list(orders.scheduled()) == [(DELIVERY.id, later)]
    with direct.connect(redis_url) as client:
        client.zrem(keys.DELAYED, DELIVERY.id)
    assert not orders.reschedule(DELIVERY.id, later)


def test_an_idempotency_key_lives_as_long_as_the_new_time_asks(orders: Orders, redis_url: str) -> None:
    """Moved by ten days, the same key still gives the first delivery on the ninth."""
    orders.enter(DELIVERY, Identity(["print"], ["key"]), datetime.now(UTC) + SOON)
    assert orders.reschedule(DELIVERY.id, datetime.now(UTC) + timedelta(days=10))

    with direct.connect(redis_url) as client:
        assert client.ttl("postroom.idempotency.key") > timedelta(days=10).total_seconds()


def test_a_scheduled_delivery_is_called_back_for_good(orders: Orders, redis_url: str) -> None:
    """Message, time and place in the list are gone; the record and the result tell."""
    orders.enter(DELIVERY, IDENTITY, datetime.now(UTC) + SOON)

    assert orders.call_back(DELIVERY.id, State.CANCELLED, "told", None) is Answer.ENDED
    with direct.connect(redis_url) as client:
        assert client.exists(keys.DELAYED, keys.DELAYED_MESSAGES) == 0
        assert client.get(RESULT_KEY.format(id=DELIVERY.id)) == b"told"
        assert 0 < client.ttl(RECORD) <= 24 * 3600
    assert state_of(redis_url) == b"cancelled"


def test_a_queued_delivery_that_is_called_back_stays_so_while_its_message_lies_there(
    orders: Orders, redis_url: str
) -> None:
    """A worker that comes back after weeks must still find that it is not wanted any more."""
    orders.enter(DELIVERY, IDENTITY)

    assert orders.call_back(DELIVERY.id, State.CANCELLED, "told", None) is Answer.ENDED
    with direct.connect(redis_url) as client:
        assert client.ttl(RECORD) > 24 * 3600


def test_calling_back_answers_truly(orders: Orders, redis_url: str) -> None:
    """Unknown, changed since, committed, over: four different answers, and nothing is changed by asking."""
    assert orders.call_back(DELIVERY.id, State.CANCELLED, "told", None) is Answer.NOT_FOUND
    orders.enter(DELIVERY, IDENTITY)
    with direct.connect(redis_url) as client:
        client.hset(RECORD, mapping={"progress": "newer"})
        assert orders.call_back(DELIVERY.id, State.CANCELLED, "told", "older") is Answer.CHANGED
        client.hset(RECORD, mapping={"state": "sending", "committed": "lease:1"})
        assert orders.call_back(DELIVERY.id, State.CANCELLED, "told", "newer") is Answer.COMMITTED
        assert client.get(RESULT_KEY.format(id=DELIVERY.id)) is None
        client.hset(RECORD, mapping={"state": "sent", "ended": "60"})
        assert orders.call_back(DELIVERY.id, State.CANCELLED, "told", "newer") is Answer.OVER
        assert client.get(RESULT_KEY.format(id=DELIVERY.id)) is None
    assert state_of(redis_url) == b"sent"


def test_results_kept_elsewhere_are_not_stored_here(redis_url: str) -> None:
    """The record tells that it was called back, and keeps the result for whoever can store it there."""
    broker = connect(redis_url)
    orders = Orders(broker, has_results=False)
    orders.enter(DELIVERY, IDENTITY)
    orders.call_back(DELIVERY.id, State.CANCELLED, "told", None)
    with direct.connect(redis_url) as client:
        assert client.get(RESULT_KEY.format(id=DELIVERY.id)) is None
        assert client.hget(RECORD, "result") == b"told"
    broker.close()


def test_a_held_delivery_is_listed_and_released_once(orders: Orders, redis_url: str) -> None:
    """Two operators may press at the same time: it goes on once."""
    with direct.connect(redis_url) as client:
        client.hset(RECORD, mapping={"state": "held"})
        client.expire(RECORD, 60)
        client.zadd(keys.HELD, {DELIVERY.id: 1_700_000_000})
        client.hset(keys.DELAYED_MESSAGES, DELIVERY.id, f"{QUEUE_NORMAL}\n{task_message(DELIVERY)}")

    assert [held for held, _ in orders.held()] == [DELIVERY.id]
    assert [orders.release(DELIVERY.id), orders.release(DELIVERY.id)] == [True, False]
    assert list(orders.held()) == []
    assert state_of(redis_url) == b"retrying"


def test_long_lists_are_read_in_pages(orders: Orders, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it, the next first, whatever fits into a page."""
    monkeypatch.setattr("postroom_broker.ledger.orders.PAGE", 2)
    now = datetime.now(UTC)
    for number in range(5):
        orders.enter(SealedDelivery(f"d{number}", QUEUE_NORMAL, "p"), IDENTITY, now + SOON * (5 - number))

    assert [delivery_id for delivery_id, _ in orders.scheduled()] == ["d4", "d3", "d2", "d1", "d0"]


@pytest.mark.parametrize("apart", [timedelta(0), SOON], ids=["all due at once", "one after the other"])
def test_whoever_reads_a_list_may_take_out_what_was_read(
    orders: Orders, monkeypatch: pytest.MonkeyPatch, apart: timedelta
) -> None:
    """Calling back all that waits, page by page, leaves nothing out; so does leaving some."""
    monkeypatch.setattr("postroom_broker.ledger.orders.PAGE", 3)
    now, ids = datetime.now(UTC), [f"d{number:02}" for number in range(20)]
    for number, delivery_id in enumerate(ids):
        orders.enter(SealedDelivery(delivery_id, QUEUE_NORMAL, "p"), IDENTITY, now + SOON + apart * number)
    met = []
    for delivery_id, _ in orders.scheduled():
        met.append(delivery_id)
        if delivery_id[-1] not in "09":
            orders.call_back(delivery_id, State.CANCELLED, "told", None)

    assert met == ids
    assert [delivery_id for delivery_id, _ in orders.scheduled()] == ["d00", "d09", "d10", "d19"]


def test_what_is_moved_while_a_list_is_read_is_told_once(orders: Orders, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever puts everything off by some hours comes to an end, and leaves nothing out."""
    monkeypatch.setattr("postroom_broker.ledger.orders.PAGE", 2)
    now = datetime.now(UTC).replace(microsecond=0)
    for number in range(6):
        orders.enter(SealedDelivery(f"d{number}", QUEUE_NORMAL, "p"), IDENTITY, now + SOON * (1 + number))
    met = []
    for delivery_id, due_at in orders.scheduled():
        met.append(delivery_id)
        orders.reschedule(delivery_id, due_at + 3 * SOON)

    assert met == ["d0", "d1", "d2", "d3", "d4", "d5"]
    assert [due_at for _, due_at in orders.scheduled()] == [now + SOON * (4 + number) for number in range(6)]


def test_what_is_due_is_not_due_too_early(orders: Orders, redis_url: str) -> None:
    """Not by a millisecond: a time is kept to the microsecond."""
    due_at = datetime.now(UTC).replace(microsecond=400) + SOON
    orders.enter(DELIVERY, IDENTITY, due_at)
    orders.enter(OTHER, IDENTITY, due_at + SOON)
    orders.reschedule(OTHER.id, due_at)
    with direct.connect(redis_url) as client:
        scores = [client.zscore(keys.DELAYED, one.id) for one in (DELIVERY, OTHER)]

    assert scores == [pytest.approx(due_at.timestamp(), abs=1e-6)] * 2


def test_a_delivery_whose_time_is_over_is_refused(orders: Orders, redis_url: str) -> None:
    """By the server's clock; one that was taken in before is told again, however late it is by now."""
    past = datetime.now(UTC) - timedelta(seconds=1)
    with pytest.raises(PropertyValueOutOfRangeException, match=r"ExpiresAt is out of range\. It lies in the past\."):
        orders.enter(DELIVERY, IDENTITY, None, past)
    assert (queued(redis_url), state_of(redis_url)) == (0, None)
    orders.enter(DELIVERY, Identity(["print"], ["key"]), None, datetime.now(UTC) + SOON)

    assert orders.enter(DELIVERY, IDENTITY, None, past) == DELIVERY.id
    assert orders.enter(OTHER, Identity(["print"], ["key"]), None, past) == DELIVERY.id
    assert queued(redis_url) == 1


# What is known when Redis is away


@pytest.fixture(params=[Fault.SWALLOW, Fault.CUT_BEFORE, Fault.LOSE_ANSWER, Fault.CUT_AFTER])
def faulty(request: pytest.FixtureRequest, each_server: ValkeyServer) -> Iterator[tuple[RedisProxy, Fault]]:
    """A Redis that loses the call or the answer to it."""
    with RedisProxy(each_server.port, b"EVALSHA", request.param) as proxy:
        yield proxy, request.param


def test_a_call_that_was_never_answered_may_have_been_heard(redis_url: str, faulty: tuple[RedisProxy, Fault]) -> None:
    """Whether it arrived cannot be known here, and that is what is told; sent again by its id, it is there once."""
    proxy, fault = faulty
    enter(redis_url, OTHER)  # the server knows the script
    with pytest.raises(BrokerUnavailable) as caught:
        enter(f"{proxy.url}?socket_timeout=0.3")
    arrived = fault in {Fault.LOSE_ANSWER, Fault.CUT_AFTER}

    assert (caught.value.maybe_enqueued, caught.value.receipt_id) == (True, DELIVERY.id)
    assert (queued(redis_url), state_of(redis_url) is not None) == (1 + arrived, arrived)
    enter(redis_url)
    assert queued(redis_url) == 2


def test_nothing_listens() -> None:
    """No connection, so nothing can be queued."""
    with pytest.raises(BrokerUnavailable) as caught:
        enter(f"redis://127.0.0.1:{free_port()}/0")

    assert (caught.value.maybe_enqueued, caught.value.receipt_id) == (False, DELIVERY.id)


@pytest.mark.parametrize("listener", [SilentListener, FullListener])
def test_a_server_that_does_not_answer_is_given_up_in_time(listener: type[SilentListener]) -> None:
    """With the timeouts as they are: the promise to a web request is six seconds, so here time is the point."""
    with listener() as silent:
        started = time.monotonic()
        with pytest.raises(BrokerUnavailable) as caught:
            enter(f"redis://{silent.host}:{silent.port}/0")

    assert time.monotonic() - started < 6
    assert not caught.value.maybe_enqueued


def test_redis_killed_between_two_messages(valkey_program: Path, tmp_path: Path) -> None:
    """The dead connection is noticed before anything leaves on it; back again, the same client goes on."""
    with ValkeyServer(valkey_program, tmp_path) as server:
        broker = connect(server.url)
        orders = Orders(broker, has_results=True)
        orders.enter(DELIVERY, IDENTITY)
        server.kill()
        with pytest.raises(BrokerUnavailable) as caught:
            orders.enter(DELIVERY, IDENTITY)
        assert not caught.value.maybe_enqueued
        server.start()
        orders.enter(DELIVERY, IDENTITY)
        broker.close()

        assert queued(server.url) == 1


def test_a_connection_closed_between_two_messages_costs_nothing(redis_url: str) -> None:
    """A connection that the server closed while it was idle is replaced before it is used."""
    broker = connect(redis_url)
    orders = Orders(broker, has_results=True)
    orders.enter(DELIVERY, IDENTITY)
    with direct.connect(redis_url) as client:
        client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    orders.enter(OTHER, IDENTITY)
    broker.close()

    assert queued(redis_url) == 2


def test_a_full_redis_queues_nothing(valkey_program: Path, tmp_path: Path) -> None:
    """Out of memory is an answer: certain, atomic, told with Redis's own words and without the command."""
    options = ["--maxmemory", "1", "--maxmemory-policy", "noeviction"]
    with ValkeyServer(valkey_program, tmp_path, options=options) as server:
        with pytest.raises(BrokerUnavailable) as caught:
            enter(server.url)

        assert (queued(server.url), state_of(server.url)) == (0, None)
    assert (caught.value.maybe_enqueued, caught.value.receipt_id) == (False, DELIVERY.id)
    assert "command not allowed when used memory" in str(caught.value)
    assert not any(word in f"{caught.value} {caught.value.args}" for word in ("payload", "Command #", RECORD))


@pytest.mark.parametrize("credentials", ["", ":wrong@", "nobody:wrong@"])
def test_a_wrong_password_queues_nothing(valkey_program: Path, tmp_path: Path, credentials: str) -> None:
    """No login, no message; the password is not repeated."""
    with ValkeyServer(valkey_program, tmp_path) as server, direct.connect(server.url) as admin:
        admin.config_set("requirepass", "right")
        try:
            with pytest.raises(BrokerUnavailable) as caught:
                enter(server.url.replace("//", f"//{credentials}"))
            assert admin.llen(QUEUE_NORMAL) == 0
        finally:
            admin.config_set("requirepass", "")

    assert not caught.value.maybe_enqueued
    assert "wrong" not in f"{caught.value} {caught.value.args}".replace("WRONGPASS", "")


def test_a_right_password_is_used(valkey_program: Path, tmp_path: Path) -> None:
    """From the URL, percent-encoding undone."""
    with ValkeyServer(valkey_program, tmp_path) as server, direct.connect(server.url) as admin:
        admin.config_set("requirepass", "r@ght/")
        enter(server.url.replace("//", "//:r%40ght%2F@"))
        assert admin.llen(QUEUE_NORMAL) == 1


def test_a_read_only_replica_refuses(valkey_program: Path, tmp_path: Path) -> None:
    """A replica that took over the address by mistake says no, and nothing is queued."""
    options = ["--replicaof", "127.0.0.1", str(free_port())]
    with ValkeyServer(valkey_program, tmp_path, options=options) as server, pytest.raises(BrokerUnavailable) as caught:
        enter(server.url)

    assert not caught.value.maybe_enqueued


def test_record_tells_since_when_it_is_due(orders: Orders, redis_url: str) -> None:
    """Now, by the server's clock, or its time, which moving it changes."""
    at, later = datetime.now(UTC) + SOON, datetime.now(UTC) + 2 * SOON
    orders.enter(DELIVERY, IDENTITY)
    orders.enter(OTHER, IDENTITY, at)
    with direct.connect(redis_url) as client:
        now_s = int(client.time()[0])
        assert now_s - 60 <= float(client.hget(RECORD, "due")) <= now_s + 1
        assert float(client.hget(record_key(OTHER.id), "due")) == pytest.approx(at.timestamp())
        assert orders.reschedule(OTHER.id, later)
        assert float(client.hget(record_key(OTHER.id), "due")) == pytest.approx(later.timestamp())
