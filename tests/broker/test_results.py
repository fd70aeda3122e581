"""Reading results and waiting for them: by subscription, up to a deadline, and through a Redis that goes away."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
from celery import Celery

from postroom.testing import free_port
from postroom_broker import results as module
from postroom_broker.connection import connect
from postroom_broker.results import Results, StoredResult
from postroom_contract.errors import BrokerUnavailable
from postroom_contract.names import RESULT_KEY
from tests.support import valkey as direct
from tests.support.redis_proxy import RedisProxy
from tests.support.valkey import ValkeyServer
from tests.support.waiting import wait_until

# Celery's own backend calls what redis-py has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:Call to deprecated setex:DeprecationWarning")

KEY = RESULT_KEY.format(id="d1")
# No test comes near it unless something hangs.
LONG_S = 30.0


@contextmanager
def results_at(url: str) -> Iterator[Results]:
    """Results read at `url`."""
    client = connect(url)
    yield Results(client)
    client.close()


def store(url: str, status: str, value: object = None) -> None:
    """Store a record as Celery does, news included."""
    app = Celery("test", backend=url, set_as_current=False)
    app.backend.store_result("d1", value, status)
    backend: Any = app.backend
    # Its client was given a pool, and does not close what it did not make.
    backend.client.connection_pool.disconnect()


class Waiting:
    """`Results.wait` in a thread."""

    def __init__(self, results: Results, timeout_s: float | None = LONG_S) -> None:
        self.ended: list[Any] = []
        self._thread = threading.Thread(target=self._run, args=(results, timeout_s), daemon=True)
        self._thread.start()

    def _run(self, results: Results, timeout_s: float | None) -> None:
        try:
            self.ended.append(results.wait("d1", timeout_s))
        except BrokerUnavailable as away:
            self.ended.append(away)

    def end(self) -> Any:
        """What it returned or raised."""
        self._thread.join(LONG_S)
        return self.ended[0]


def subscribers(url: str) -> int:
    """How many clients wait for news."""
    # Not PUBSUB NUMSUB: Valkey 9.1.2 as embedded answers it with a wrong number at 8 (15, 29, ...) subscribers.
    with direct.connect(url) as client:
        return len(client.client_list("pubsub"))


def new_subscriptions(url: str, seen: set[str]) -> set[str]:
    """Which connections wait for news that did not before."""
    with direct.connect(url) as client:
        return {connection["id"] for connection in client.client_list("pubsub")} - seen


def subscribed(url: str) -> Callable[[], bool]:
    """Whether somebody waits."""
    return lambda: subscribers(url) > 0


def test_no_trace(redis_url: str) -> None:
    """A delivery that was never heard of has no record, waited for or not."""
    with results_at(redis_url) as results:
        assert results.read("d1") is None
        assert results.wait("d1", 0) is None
        assert results.wait("d1", 0.05) is None


@pytest.mark.parametrize(
    ("status", "is_final"),
    [
        ("PENDING", False),
        ("RECEIVED", False),
        ("STARTED", False),
        ("RETRY", False),
        ("SUCCESS", True),
        ("FAILURE", True),
        ("REVOKED", True),
    ],
)
def test_which_records_are_final(redis_url: str, status: str, *, is_final: bool) -> None:
    """Celery's own words, and only the last three end a wait at once."""
    with direct.connect(redis_url) as client:
        client.set(KEY, json.dumps({"status": status, "result": {"a": 1}}), ex=60)
    with results_at(redis_url) as results:
        stored = results.wait("d1", 0.05)

    assert stored == StoredResult(status, {"a": 1})
    assert stored.is_final == is_final


def test_a_result_that_is_there_is_returned_without_waiting(redis_url: str) -> None:
    """Even where there is no time at all."""
    store(redis_url, "SUCCESS", "x")
    with results_at(redis_url) as results:
        for timeout_s in (None, 0, -1, LONG_S):
            assert results.wait("d1", timeout_s) == StoredResult("SUCCESS", "x")


@pytest.mark.parametrize("timeout_s", [LONG_S, None])
def test_the_news_ends_the_wait(redis_url: str, timeout_s: float | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A waiter is woken by Celery's own message on the channel, not by looking again and again."""
    monkeypatch.setattr(module, "LISTEN_S", LONG_S * 2)
    with results_at(redis_url) as results:
        waiting = Waiting(results, timeout_s)
        wait_until(subscribed(redis_url), 10, "a subscription")
        store(redis_url, "SUCCESS", "x")

        assert waiting.end() == StoredResult("SUCCESS", "x")
    wait_until(lambda: subscribers(redis_url) == 0, 10, "the end of the subscription")


def test_news_of_a_state_that_is_not_final_is_no_end(redis_url: str) -> None:
    """Started and retried deliveries are waited for on."""
    with results_at(redis_url) as results:
        waiting = Waiting(results)
        wait_until(subscribed(redis_url), 10)
        store(redis_url, "STARTED")
        store(redis_url, "RETRY")
        assert waiting.ended == []
        store(redis_url, "SUCCESS", "x")

        assert waiting.end() == StoredResult("SUCCESS", "x")


def test_a_result_without_news_is_found_all_the_same(redis_url: str) -> None:
    """A message on a channel can be missed; the record itself is looked at again."""
    with results_at(redis_url) as results:
        waiting = Waiting(results)
        wait_until(subscribed(redis_url), 10)
        with direct.connect(redis_url) as client:
            client.set(KEY, json.dumps({"status": "SUCCESS", "result": "x"}), ex=60)

        assert waiting.end() == StoredResult("SUCCESS", "x")


def test_time_is_up(redis_url: str) -> None:
    """What is there is returned when the time is over."""
    store(redis_url, "STARTED")
    with results_at(redis_url) as results:
        assert results.wait("d1", 0.05) == StoredResult("STARTED", None)


def test_many_waiters(redis_url: str) -> None:
    """Threads wait side by side on one client."""
    with results_at(redis_url) as results:
        waiting = [Waiting(results) for _ in range(8)]
        wait_until(lambda: subscribers(redis_url) == 8, 10)
        store(redis_url, "SUCCESS", "x")

        assert [one.end() for one in waiting] == [StoredResult("SUCCESS", "x")] * 8


def test_a_connection_lost_while_waiting_is_made_anew(valkey: ValkeyServer, redis_url: str) -> None:
    """A blip of the network, or two, costs nothing: the waiter goes on, on a new connection."""
    with RedisProxy(valkey.port) as proxy, results_at(proxy.url) as results:
        waiting = Waiting(results)
        seen = wait_until(partial(new_subscriptions, redis_url, set()), 10)
        for _ in range(2):
            proxy.cut()
            # The server may not have noticed yet: only a new connection shows that the waiter went on.
            seen |= wait_until(partial(new_subscriptions, redis_url, seen), 10)
        store(redis_url, "SUCCESS", "x")

        assert waiting.end() == StoredResult("SUCCESS", "x")


def test_redis_gone_while_waiting_is_told(valkey: ValkeyServer, redis_url: str) -> None:
    """Nobody waits for an hour on a server that is not there."""
    with RedisProxy(valkey.port) as proxy, results_at(proxy.url) as results:
        waiting = Waiting(results)
        wait_until(subscribed(redis_url), 10)
        proxy.refuse()
        proxy.cut()

        assert isinstance(waiting.end(), BrokerUnavailable)


def test_redis_away_is_told_when_reading() -> None:
    """Reading is no enqueueing: nothing may have been queued by it."""
    with results_at(f"redis://127.0.0.1:{free_port()}/0") as results, pytest.raises(BrokerUnavailable) as caught:
        results.read("d1")

    assert not caught.value.maybe_enqueued


def test_decoded_answers_are_read_too(redis_url: str) -> None:
    """A URL may ask redis-py for text in the place of bytes, or for another protocol."""
    store(redis_url, "SUCCESS", "ü")
    for option in ("decode_responses=True", "protocol=2", "protocol=3"):
        with results_at(f"{redis_url}?{option}") as results:
            assert results.wait("d1", 0) == StoredResult("SUCCESS", "ü")
