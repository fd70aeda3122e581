"""What workers tell the ledger: fences, commits and ends, on a real server, with leases that are lost and answers that are."""

import asyncio
import json
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
from celery.states import READY_STATES

from postroom_broker import keys
from postroom_broker.connection import connect
from postroom_broker.ledger.claims import Act, Claim, Claims, Settlement, Standing
from postroom_broker.ledger.orders import Identity, Orders
from postroom_broker.ledger.record import record_key
from postroom_broker.task_message import SealedDelivery
from postroom_contract.errors import BrokerUnavailable
from postroom_contract.names import QUEUE_NORMAL, RESULT_KEY
from postroom_contract.outcome import State
from tests.support import valkey as direct
from tests.support.redis_proxy import Fault, RedisProxy
from tests.support.valkey import ValkeyServer
from tests.support.waiting import wait_until

ID = "0d6b2f6e-6a0e-4a52-8f43-4b2f7a3a9d11"
OTHER_ID = "8a4c8a63-7a9c-43a2-8b86-50a3fd0d1f7c"
RECORD, RESULT = record_key(ID), RESULT_KEY.format(id=ID)
FIRST, SECOND, THIRD = "lease:a.1.1", "lease:b.1.1", "lease:c.1.1"

SENT = Settlement(Act.END, State.SENT, "told sent")
RETRY = Settlement(
    Act.RETRY, State.RETRYING, "told retry", "progress 2", f"{QUEUE_NORMAL}\nagain", 30.0, 1200, "disconnected"
)
HOLD = Settlement(Act.HOLD, State.HELD, "", "progress 2", f"{QUEUE_NORMAL}\nagain", code=1303)
BURY = Settlement(Act.BURY, State.HELD, message="dead letter", code=1401, reason="unknown_key")

T = TypeVar("T")


class Ledger:
    """One delivery in the ledger of one server, and the leases that workers have for its message."""

    def __init__(self, url: str, result_url: str | None = None) -> None:
        self.url = url
        self.result_url = result_url
        self.client = direct.connect(url)
        broker = connect(url)
        Orders(broker, has_results=True).enter(SealedDelivery(ID, QUEUE_NORMAL, "payload"), Identity(["print"]))
        broker.close()

    def lease(self, lease: str) -> None:
        """Give a worker the message."""
        self.client.delete(QUEUE_NORMAL)
        self.client.hset(keys.UNACKED, lease, "message")
        # A moment ago: an older one may be taken for lapsed, and be taken away, by whoever keeps house on this server.
        self.client.zadd(keys.UNACKED_INDEX, {lease: time.time() - 10})

    def lapse(self, lease: str) -> None:
        """Take it away: it lies in its queue again."""
        self.client.hdel(keys.UNACKED, lease)
        self.client.zrem(keys.UNACKED_INDEX, lease)
        self.client.lpush(QUEUE_NORMAL, "message")

    def run(self, work: Callable[[Claims], Awaitable[T]], url: str | None = None) -> T:
        """Ask in the way a worker does."""

        async def within() -> T:
            claims = Claims(url or self.url, self.result_url)
            try:
                return await work(claims)
            finally:
                await claims.aclose()

        return asyncio.run(within())

    def claim(self, lease: str) -> Claim:
        return self.run(lambda claims: claims.claim(ID, lease))

    def commit(self, lease: str, progress: str = "progress 1", expires_at: datetime | None = None) -> Standing:
        return self.run(lambda claims: claims.commit(ID, lease, progress, expires_at))

    def settle(self, lease: str, settlement: Settlement) -> Standing:
        return self.run(lambda claims: claims.settle(ID, lease, settlement))

    def field(self, name: str) -> str | None:
        """One field of the record."""
        value: Any = self.client.hget(RECORD, name)
        return None if value is None else str(value, "utf-8")

    def score(self, key: str, member: str) -> float:
        """When something is due, or was renewed."""
        score = self.client.zscore(key, member)
        assert score is not None
        return score

    @property
    def state(self) -> str | None:
        return self.field("state")

    @property
    def held(self) -> int:
        """How many messages workers hold."""
        return int(self.client.hlen(keys.UNACKED))


@pytest.fixture
def ledger(each_redis_url: str) -> Iterator[Ledger]:
    """A delivery that was taken in, and whose message a first worker holds, on each kind of server."""
    ledger = Ledger(each_redis_url)
    ledger.lease(FIRST)
    yield ledger
    ledger.client.close()


def test_an_attempt_from_begin_to_end(ledger: Ledger) -> None:
    """Begun, committed, ended: each is in the record, and the end acknowledges the message and tells the result."""
    assert ledger.claim(FIRST) == Claim(Standing.OURS)
    assert ledger.state == "sending"
    assert ledger.commit(FIRST) is Standing.OURS
    assert (ledger.field("committed"), ledger.field("progress")) == (FIRST, "progress 1")
    assert ledger.settle(FIRST, SENT) is Standing.OURS

    assert (ledger.state, ledger.held, ledger.client.get(RESULT)) == ("sent", 0, b"told sent")
    assert (ledger.field("committed"), ledger.field("progress")) == (None, None)
    assert 0 < ledger.client.ttl(RECORD) <= 24 * 3600
    assert 0 < ledger.client.ttl(RESULT) <= 24 * 3600


def test_what_is_over_is_not_begun_again(ledger: Ledger) -> None:
    """A message that is given out again finds that it was sent."""
    ledger.claim(FIRST)
    ledger.settle(FIRST, SENT)
    ledger.lease(SECOND)

    assert ledger.claim(SECOND).standing is Standing.ENDED
    assert ledger.state == "sent"


def test_an_end_is_known_for_as_long_as_its_message_may_lie_in_the_queue(ledger: Ledger) -> None:
    """Told when the lease was gone, it outlives a weekend without workers: nobody sends the mail again on Monday."""
    ledger.claim(FIRST)
    ledger.commit(FIRST)
    ledger.lapse(FIRST)
    assert ledger.settle(FIRST, SENT) is Standing.OURS

    assert ledger.client.ttl(RECORD) > 29 * 24 * 3600
    assert 0 < ledger.client.ttl(RESULT) <= 24 * 3600
    ledger.lease(SECOND)
    assert ledger.claim(SECOND).standing is Standing.ENDED
    assert ledger.client.ttl(RECORD) > 29 * 24 * 3600


def test_a_worker_that_never_committed_leaves_no_doubt(ledger: Ledger) -> None:
    """Its message goes to another, and nobody has to fear a duplicate."""
    ledger.claim(FIRST)
    ledger.lapse(FIRST)
    ledger.lease(SECOND)

    assert ledger.claim(SECOND) == Claim(Standing.OURS)


def test_a_worker_that_committed_and_died_leaves_a_doubt(ledger: Ledger) -> None:
    """The next one is told so, with the recipients who may have got it; also when it asks twice."""
    ledger.claim(FIRST)
    ledger.commit(FIRST)
    ledger.lapse(FIRST)
    ledger.lease(SECOND)

    assert [ledger.claim(SECOND) for _ in range(2)] == [Claim(Standing.OURS, in_doubt=True, progress="progress 1")] * 2


def test_who_lost_the_lease_can_neither_begin_nor_commit(ledger: Ledger) -> None:
    """The fence: a worker that slept past its lease must not let the last octets leave."""
    ledger.claim(FIRST)
    ledger.lapse(FIRST)
    assert ledger.commit(FIRST) is Standing.LOST
    assert ledger.claim(FIRST).standing is Standing.LOST
    ledger.lease(SECOND)
    ledger.claim(SECOND)

    assert ledger.commit(FIRST) is Standing.LOST
    assert ledger.field("committed") is None
    assert ledger.commit(SECOND) is Standing.OURS


def test_a_commit_renews_the_lease(ledger: Ledger) -> None:
    """So that it does not lapse in the moment after."""
    ledger.claim(FIRST)
    renewed_at = ledger.score(keys.UNACKED_INDEX, FIRST)
    ledger.commit(FIRST)

    assert ledger.score(keys.UNACKED_INDEX, FIRST) > renewed_at + 5


def test_a_commit_without_a_record_is_refused(ledger: Ledger) -> None:
    """Redis came back without what it knew: nobody can say whose the delivery is."""
    ledger.claim(FIRST)
    ledger.client.delete(RECORD)

    assert ledger.commit(FIRST) is Standing.LOST


@pytest.mark.parametrize(("after", "standing"), [(-1, Standing.EXPIRED), (3600, Standing.OURS)])
def test_nothing_is_committed_after_its_time(ledger: Ledger, after: int, standing: Standing) -> None:
    """By the server's clock, in the very moment before the octets leave."""
    ledger.claim(FIRST)

    assert ledger.commit(FIRST, expires_at=datetime.now(UTC) + timedelta(seconds=after)) is standing
    assert (ledger.field("committed") is not None) == (standing is Standing.OURS)


def test_what_was_called_back_is_not_committed(ledger: Ledger) -> None:
    """Between the begin and the last octets there is still time."""
    ledger.claim(FIRST)
    broker = connect(ledger.url)
    Orders(broker, has_results=True).call_back(ID, State.CANCELLED, "told cancelled", None)
    broker.close()

    assert ledger.commit(FIRST) is Standing.ENDED
    assert ledger.settle(FIRST, SENT) is Standing.ENDED
    assert (ledger.state, ledger.held, ledger.client.get(RESULT)) == ("cancelled", 0, b"told cancelled")


def test_a_retry_acknowledges_and_waits_in_one_step(ledger: Ledger) -> None:
    """The message is no longer held, the next one waits for its time, the record knows why and how far it came."""
    ledger.claim(FIRST)
    ledger.commit(FIRST)
    assert ledger.settle(FIRST, RETRY) is Standing.OURS

    assert (ledger.state, ledger.held, ledger.client.get(RESULT)) == ("retrying", 0, b"told retry")
    assert (ledger.field("committed"), ledger.field("progress"), ledger.field("code")) == (None, "progress 2", "1200")
    assert ledger.client.hget(keys.DELAYED_MESSAGES, ID) == f"{QUEUE_NORMAL}\nagain".encode()
    assert ledger.score(keys.DELAYED, ID) - ledger.client.time()[0] == pytest.approx(30, abs=5)


def test_a_worker_is_told_how_long_the_delivery_could_have_been_sent(ledger: Ledger) -> None:
    """Since it was taken in, or since the wait of its retry was over; never less than nothing."""
    first = ledger.claim(FIRST).waited_s
    ledger.client.hset(RECORD, "due", ledger.client.time()[0] - 100)
    late = ledger.claim(FIRST).waited_s
    ledger.settle(FIRST, RETRY)
    ledger.lease(SECOND)
    early = ledger.claim(SECOND).waited_s

    assert first is not None
    assert late is not None
    assert 0 <= first < 60
    assert 100 <= late < 160
    assert early == 0
    assert float(ledger.field("due") or 0) == pytest.approx(ledger.score(keys.DELAYED, ID))


def test_a_record_that_notes_no_time_tells_none(ledger: Ledger) -> None:
    """It was written by a version before this one."""
    ledger.client.hdel(RECORD, "due")

    assert ledger.claim(FIRST).waited_s is None


def test_telling_it_twice_changes_nothing(ledger: Ledger) -> None:
    """An answer was lost, and the worker tells it again: one retry waits, one end stands."""
    ledger.claim(FIRST)
    assert [ledger.settle(FIRST, RETRY) for _ in range(2)] == [Standing.OURS] * 2
    assert ledger.client.zcard(keys.DELAYED) == 1
    ledger.lease(SECOND)
    ledger.claim(SECOND)
    assert [ledger.settle(SECOND, SENT) for _ in range(2)] == [Standing.OURS] * 2

    assert ledger.state == "sent"


def test_a_held_delivery_waits_for_an_operator(ledger: Ledger) -> None:
    """It is in no queue, and its waiters are woken."""
    ledger.claim(FIRST)
    ledger.commit(FIRST)
    with ledger.client.pubsub(ignore_subscribe_messages=True) as news:  # type: ignore[no-untyped-call]
        news.subscribe(RESULT)
        assert ledger.settle(FIRST, HOLD) is Standing.OURS
        told = wait_until(lambda: news.get_message(timeout=0.1), 10, "news")

    # Celery's `AsyncResult`, which listens too, takes what comes for JSON.
    assert json.loads(told["data"])["status"] not in READY_STATES
    assert (ledger.state, ledger.held, ledger.client.zcard(keys.HELD)) == ("held", 0, 1)
    assert ledger.client.zcard(keys.DELAYED) == 0


def test_a_buried_delivery_keeps_its_doubt(ledger: Ledger) -> None:
    """What breaks its worker after the commit may have been sent; whoever requeues it finds that."""
    ledger.claim(FIRST)
    ledger.commit(FIRST)
    assert ledger.settle(FIRST, BURY) is Standing.OURS

    assert ledger.client.lrange(keys.DEAD, 0, -1) == [b"dead letter"]
    assert (ledger.state, ledger.held, ledger.field("reason")) == ("held", 0, "unknown_key")
    ledger.lease(SECOND)
    assert ledger.claim(SECOND).in_doubt


def test_an_end_counts_although_the_lease_is_gone(ledger: Ledger) -> None:
    """A worker slept past its lease and knows that the mail was sent: the next one must not send it again."""
    ledger.claim(FIRST)
    ledger.commit(FIRST)
    ledger.lapse(FIRST)

    assert ledger.settle(FIRST, SENT) is Standing.OURS
    ledger.lease(SECOND)
    assert ledger.claim(SECOND).standing is Standing.ENDED


def test_an_end_counts_until_the_next_worker_commits(ledger: Ledger) -> None:
    """The next one has begun, but its last octets have not left: now they must not."""
    ledger.claim(FIRST)
    ledger.commit(FIRST)
    ledger.lapse(FIRST)
    ledger.lease(SECOND)
    ledger.claim(SECOND)

    assert ledger.settle(FIRST, SENT) is Standing.OURS
    assert ledger.commit(SECOND) is Standing.ENDED


@pytest.mark.parametrize("meanwhile", [RETRY, HOLD], ids=["put off", "held"])
def test_an_end_counts_when_the_next_worker_has_sent_nothing(ledger: Ledger, meanwhile: Settlement) -> None:
    """It found the doubt and could not connect, or left it to an operator: the first one knows better, and nothing waits."""
    ledger.claim(FIRST)
    ledger.commit(FIRST)
    ledger.lapse(FIRST)
    ledger.lease(SECOND)
    assert ledger.claim(SECOND).in_doubt
    assert ledger.settle(SECOND, meanwhile) is Standing.OURS
    assert ledger.settle(FIRST, SENT) is Standing.OURS

    assert (ledger.state, ledger.client.get(RESULT)) == ("sent", b"told sent")
    assert not ledger.client.exists(keys.DELAYED, keys.HELD, keys.DELAYED_MESSAGES)
    assert 0 < ledger.client.ttl(RECORD) <= 24 * 3600


def test_who_was_released_is_not_held_again_for_the_same_doubt(ledger: Ledger) -> None:
    """An operator's word counts, also about what a worker committed that has lost its lease."""
    ledger.claim(FIRST)
    ledger.commit(FIRST)
    ledger.lapse(FIRST)
    ledger.lease(SECOND)
    ledger.claim(SECOND)
    ledger.settle(SECOND, HOLD)
    broker = connect(ledger.url)
    assert Orders(broker, has_results=True).release(ID)
    broker.close()
    ledger.lease(THIRD)

    assert not ledger.claim(THIRD).in_doubt
    assert ledger.settle(FIRST, SENT) is Standing.LOST


def test_an_end_comes_too_late_once_the_next_worker_has_committed(ledger: Ledger) -> None:
    """Then there are two copies, and the second worker's outcome says so."""
    ledger.claim(FIRST)
    ledger.commit(FIRST)
    ledger.lapse(FIRST)
    ledger.lease(SECOND)
    ledger.claim(SECOND)
    ledger.commit(SECOND)

    assert ledger.settle(FIRST, SENT) is Standing.LOST
    assert ledger.settle(SECOND, SENT) is Standing.OURS


def test_a_retry_of_a_lost_lease_only_ends_the_doubt(ledger: Ledger) -> None:
    """The server refused the message after all: it lies in its queue already, and nobody has got it."""
    ledger.claim(FIRST)
    ledger.commit(FIRST)
    ledger.lapse(FIRST)

    assert ledger.settle(FIRST, RETRY) is Standing.LOST
    assert ledger.client.zcard(keys.DELAYED) == 0
    ledger.lease(SECOND)
    assert ledger.claim(SECOND) == Claim(Standing.OURS, in_doubt=False, progress="progress 2")


def test_results_on_another_server_come_before_the_acknowledgement(
    redis_url: str, valkey_program: Path, tmp_path: Path
) -> None:
    """The record has the result until it is stored there; a message given out again stores it again."""
    with ValkeyServer(valkey_program, tmp_path) as results:
        ledger = Ledger(redis_url, results.url)
        ledger.lease(FIRST)
        ledger.claim(FIRST)
        assert ledger.settle(FIRST, SENT) is Standing.OURS
        with direct.connect(results.url) as client:
            assert client.getdel(RESULT) == b"told sent"
            assert ledger.held == 1  # Celery acknowledges it now
            assert ledger.client.get(RESULT) is None
            ledger.lease(SECOND)
            assert ledger.claim(SECOND).standing is Standing.ENDED
            assert client.get(RESULT) == b"told sent"
            assert client.ttl(RESULT) > 0
        ledger.client.close()


def test_what_happens_together_shares_a_call(ledger: Ledger) -> None:
    """A hundred deliveries that begin at once cost a few round trips, and each gets its own answer."""
    ids = [f"d{number}" for number in range(100)]
    for delivery_id in ids[:50]:
        ledger.client.zadd(keys.UNACKED_INDEX, {f"lease:{delivery_id}": time.time()})
    before = ledger.client.info("commandstats").get("cmdstat_evalsha", {"calls": 0})["calls"]

    async def all_at_once(claims: Claims) -> list[Claim]:
        return list(await asyncio.gather(*(claims.claim(each, f"lease:{each}") for each in ids)))

    found = ledger.run(all_at_once)
    after = ledger.client.info("commandstats")["cmdstat_evalsha"]["calls"]

    assert [claim.standing for claim in found] == [Standing.OURS] * 50 + [Standing.LOST] * 50
    assert after - before <= 4


def test_one_spoilt_record_does_not_keep_the_others(ledger: Ledger) -> None:
    """A key of another type under a record's name: who shares its call is served, and it alone waits."""
    ledger.client.set(record_key(OTHER_ID), "spoilt", ex=60)
    ledger.client.zadd(keys.UNACKED_INDEX, {SECOND: time.time()})

    async def both(claims: Claims) -> tuple[Claim, Any]:
        spoilt = asyncio.create_task(claims.commit(OTHER_ID, SECOND, "p", None))
        good = await claims.claim(ID, FIRST)
        return good, (await asyncio.gather(spoilt, return_exceptions=True))[0]

    good, spoilt = ledger.run(both)
    assert good.standing is Standing.OURS
    assert isinstance(spoilt, BrokerUnavailable)

    async def in_one_call(claims: Claims) -> list[Any]:
        commits = (claims.commit(each, lease, "p", None) for each, lease in ((ID, FIRST), (OTHER_ID, SECOND)))
        return list(await asyncio.gather(*commits, return_exceptions=True))

    first, second = ledger.run(in_one_call)
    assert first is Standing.OURS
    assert isinstance(second, BrokerUnavailable)


def test_a_full_server_lets_what_has_begun_end(valkey_program: Path, tmp_path: Path) -> None:
    """Out of memory, it takes nothing new in; what is under way is begun, committed, retried and ended all the same."""
    with ValkeyServer(valkey_program, tmp_path) as server:
        ledger = Ledger(server.url)
        ledger.lease(FIRST)
        ledger.client.config_set("maxmemory-policy", "noeviction")
        ledger.client.config_set("maxmemory", 1)
        assert ledger.claim(FIRST).standing is Standing.OURS
        assert ledger.commit(FIRST) is Standing.OURS
        assert ledger.settle(FIRST, RETRY) is Standing.OURS
        ledger.client.config_set("maxmemory", 0)
        ledger.lease(SECOND)
        ledger.client.config_set("maxmemory", 1)
        ledger.claim(SECOND)
        assert ledger.settle(SECOND, SENT) is Standing.OURS
        ledger.client.close()


# Redis away


def test_a_commit_without_an_answer_is_an_error_at_once(ledger: Ledger, each_server: ValkeyServer) -> None:
    """The octets must not leave, and the server is not asked again."""
    ledger.claim(FIRST)
    with RedisProxy(each_server.port, b"EVALSHA", Fault.CUT_BEFORE) as proxy, pytest.raises(BrokerUnavailable):
        ledger.run(lambda claims: claims.commit(ID, FIRST, "p", None), proxy.url)

    assert ledger.field("committed") is None


@pytest.mark.parametrize("fault", [Fault.CUT_BEFORE, Fault.CUT_AFTER])
def test_a_commit_survives_a_blip(ledger: Ledger, each_server: ValkeyServer, fault: Fault) -> None:
    """One broken connection: it is noted, whether or not it had been before, and the mail need not be put off."""
    ledger.claim(FIRST)
    with RedisProxy(each_server.port, b"EVALSHA", fault, times=1) as proxy:
        standing = ledger.run(lambda claims: claims.commit(ID, FIRST, "p", None), proxy.url)

    assert (standing, ledger.field("committed")) == (Standing.OURS, FIRST)


def test_a_retry_told_late_on_another_server_replaces_no_end(redis_url: str) -> None:
    """While that server was away another worker has sent the mail and told it there."""
    ledger = Ledger(redis_url, redis_url.removesuffix("0") + "1")
    ledger.lease(FIRST)
    ledger.claim(FIRST)
    with direct.connect(str(ledger.result_url)) as results:
        results.set(RESULT, "told sent", ex=60)
        assert ledger.settle(FIRST, RETRY) is Standing.OURS
        assert results.get(RESULT) == b"told sent"
        results.delete(RESULT)
    ledger.client.delete(keys.DELAYED, keys.DELAYED_MESSAGES)
    ledger.client.close()


def test_claims_and_ends_wait_until_the_server_is_back(valkey_program: Path, tmp_path: Path) -> None:
    """An outage in the middle costs time and nothing else, however often the question has to be asked."""
    with ValkeyServer(valkey_program, tmp_path) as server:
        ledger = Ledger(server.url)
        ledger.lease(FIRST)
        ledger.claim(FIRST)
        server.kill()
        back = threading.Timer(1.0, server.start)
        back.start()

        async def after_the_outage(claims: Claims) -> tuple[Claim, Standing]:
            claim = asyncio.create_task(claims.claim(OTHER_ID, SECOND))
            return await claim, await claims.settle(ID, FIRST, SENT)

        claim, standing = ledger.run(after_the_outage)
        back.join()

    # The server forgot everything: nothing of it is ours any more, and nothing is sent.
    assert (claim.standing, standing) == (Standing.LOST, Standing.LOST)


def test_a_cancellation_does_not_lose_an_end(ledger: Ledger) -> None:
    """A worker that is told to stop still writes down what it knows."""
    ledger.claim(FIRST)

    async def stopped(claims: Claims) -> Standing:
        settling = asyncio.create_task(claims.settle(ID, FIRST, SENT))
        await asyncio.sleep(0)
        settling.cancel()
        return await settling

    assert ledger.run(stopped) is Standing.OURS
    assert ledger.state == "sent"
