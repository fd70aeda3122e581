"""What waits at a real broker, counted in one call."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from postroom import Mailer
from postroom.testing import free_port
from postroom_broker import keys
from postroom_broker.backlog import Backlog, Counter, QueueBacklog
from postroom_broker.ledger.record import record_key
from postroom_broker.transport.names import front_of
from postroom_contract.errors import BrokerUnavailable
from postroom_contract.names import ALL_QUEUES, QUEUE_BULK, QUEUE_NORMAL, QUEUE_URGENT
from postroom_contract.sealing import generate_key
from tests.support import valkey as direct
from tests.support.post import a_message

SESSION = {
    "ServerDetails": {"Host": "127.0.0.1", "Port": 25, "UseSsl": False, "AllowCleartext": True},
    "Credentials": {"Anonymous": True},
}


@pytest.fixture
def redis_url(each_redis_url: str) -> str:
    """An empty server, of each kind in turn: the script must do on all of them."""
    return each_redis_url


@pytest.fixture
def client(redis_url: str) -> Iterator[Any]:
    """A plain client, with which the test prepares."""
    with direct.connect(redis_url) as client:
        yield client


@pytest.fixture
def mailer(redis_url: str) -> Iterator[Mailer]:
    """Somebody who hands mail over."""
    mailer = Mailer.from_env({"POSTROOM_BROKER_URL": redis_url, "POSTROOM_KEYS": generate_key("seal")})
    yield mailer
    mailer.close()


@pytest.fixture
def counter(redis_url: str) -> Iterator[Counter]:
    """What is tested."""
    counter = Counter(redis_url)
    yield counter
    counter.close()


def test_an_idle_broker_has_nothing_waiting(counter: Counter) -> None:
    """All is zero, and no queue has an age."""
    nothing = dict.fromkeys(ALL_QUEUES, QueueBacklog(0, 0.0))

    assert counter.count() == Backlog(nothing, leased=0, delayed=0, late_s=0.0, held=0, dead=0)


def test_a_queue_tells_how_long_its_next_message_has_waited(counter: Counter, mailer: Mailer, client: Any) -> None:
    """By the record of the message that is given out next: the one at the front, or the oldest of the list."""
    first, second = (mailer.send(a_message(number), SESSION).id for number in range(2))
    now = client.time()[0]
    client.hset(record_key(first), "due", now - 1000)
    client.hset(record_key(second), "due", now - 50)
    before = counter.count().queues[QUEUE_NORMAL]
    client.lmove(QUEUE_NORMAL, front_of(QUEUE_NORMAL), "RIGHT", "LEFT")
    at_front = counter.count().queues[QUEUE_NORMAL]
    client.delete(front_of(QUEUE_NORMAL))
    after = counter.count().queues

    assert before.messages == at_front.messages == 2
    assert before.oldest_s == pytest.approx(1000, abs=20)
    assert at_front.oldest_s == pytest.approx(1000, abs=20)
    assert after[QUEUE_NORMAL].messages == 1
    assert after[QUEUE_NORMAL].oldest_s == pytest.approx(50, abs=20)
    assert after[QUEUE_URGENT] == after[QUEUE_BULK] == QueueBacklog(0, 0.0)
    client.delete(QUEUE_NORMAL)


def test_a_message_from_elsewhere_is_counted_and_has_no_age(counter: Counter, client: Any) -> None:
    """What is no message, or of no delivery that the ledger knows, neither breaks the count nor looks new."""
    client.lpush(QUEUE_NORMAL, "garbage")
    client.lpush(QUEUE_URGENT, '{"body": "", "headers": {"id": "unheard-of"}}')

    assert counter.count().queues[QUEUE_NORMAL] == QueueBacklog(1, None)
    assert counter.count().queues[QUEUE_URGENT] == QueueBacklog(1, None)
    client.delete(QUEUE_NORMAL, QUEUE_URGENT)


def test_delayed_held_dead_and_leased_messages_are_counted(counter: Counter, client: Any) -> None:
    """And what is overdue says by how much."""
    client.zadd(keys.DELAYED, {"late": time.time() - 500, "early": time.time() + 500})
    client.zadd(keys.HELD, {"held": 1})
    client.rpush(keys.DEAD, "1", "2", "3")
    client.zadd(keys.UNACKED_INDEX, {f"lease:{number}": 1 for number in range(4)})
    counted = counter.count()

    assert (counted.leased, counted.delayed, counted.held, counted.dead) == (4, 2, 1, 3)
    assert counted.late_s == pytest.approx(500, abs=20)
    client.delete(keys.DELAYED, keys.HELD, keys.DEAD, keys.UNACKED_INDEX)


def test_a_broker_that_is_away_is_told_in_our_words() -> None:
    """Whoever shows the numbers decides what to show instead."""
    counter = Counter(f"redis://127.0.0.1:{free_port()}/0")
    with pytest.raises(BrokerUnavailable):
        counter.count()
    counter.close()
