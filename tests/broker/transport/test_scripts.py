"""The Lua scripts, each through a plain client, on every kind of server."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from postroom_broker.transport.names import front_of
from postroom_broker.transport.scripts import CLAIM, DELAY, LAPSED, PROMOTE, PUT_BACK, RENEW, STEP_BACK
from tests.support.valkey import ValkeyServer, connect

HELD = ["unacked", "unacked_index"]
DELAYED = ["delayed", "delayed.messages", *HELD]


@pytest.fixture
def client(each_server: ValkeyServer) -> Iterator[Any]:
    """A client of an empty database, on each kind of server."""
    with connect(each_server.url) as client:
        client.flushall()
        client.script_flush()
        yield client


def claim(client: Any, most: int, queues: str = "abc", turns: int = 0) -> list[tuple[int, str, str]]:
    """Claim from queues of these names."""
    lists = [key for queue in queues for key in (front_of(queue), queue)]
    names = [json.dumps(queue) for queue in queues]
    answer = CLAIM(client, [*HELD, *lists], [most, turns, 5, f"lease:x.{turns}.", *names])
    return [(answer[i], answer[i + 1].decode(), answer[i + 2].decode()) for i in range(0, len(answer), 3)]


def test_a_claim_takes_the_oldest_and_writes_its_lease(client: Any) -> None:
    """A claimed message is out of its queue and under a lease that stock kombu could restore from."""
    client.lpush("a", '{"n":1}', '{"n":2}', '{"n":3}')
    assert claim(client, 2) == [(1, "lease:x.0.1", '{"n":1}'), (1, "lease:x.0.2", '{"n":2}')]
    assert json.loads(client.hget("unacked", "lease:x.0.1")) == [{"n": 1}, "", "a"]
    seconds, _ = client.time()
    assert abs(client.zscore("unacked_index", "lease:x.0.2") - seconds) < 5
    assert client.llen("a") == 1


def test_a_claim_of_nothing_is_empty(client: Any) -> None:
    """Empty queues give an empty answer and leave no keys."""
    assert claim(client, 5) == []
    assert client.keys() == []


def test_what_was_moved_to_the_front_comes_first(client: Any) -> None:
    """A message that woke a waiting consumer is claimed before those behind it."""
    client.lpush("a", "1", "2")
    client.blmove("a", front_of("a"), 1, "RIGHT", "LEFT")
    assert [text for *_, text in claim(client, 2)] == ["1", "2"]


def test_urgent_comes_first_and_each_queue_has_its_share(client: Any) -> None:
    """Of twenty turns two are reserved for each less urgent queue, also when every claim takes one message."""
    for queue in "abc":
        client.lpush(queue, *range(100))
    many = [number for number, *_ in claim(client, 20)]
    assert many.count(1) == 16
    assert many[:4] == [1, 1, 1, 1]
    singly = [claim(client, 1, turns=turns)[0][0] for turns in range(20)]
    assert (singly.count(1), singly.count(2), singly.count(3)) == (16, 2, 2)


def test_a_reserved_turn_is_not_wasted(client: Any) -> None:
    """When the queue whose turn it is has nothing, the most urgent one that has something gets it."""
    client.lpush("a", *range(10))
    assert len(claim(client, 10)) == 10


def test_renewing_revives_nothing(client: Any) -> None:
    """A lease is dated anew; one that is gone is reported, and not made again."""
    client.zadd("unacked_index", {"mine": 1})
    assert RENEW(client, ["unacked_index"], ["mine", "gone"]) == [b"gone"]
    assert client.zscore("unacked_index", "mine") > 1_000_000
    assert client.zcard("unacked_index") == 1


def test_leases_are_renewed_on_a_full_server(client: Any) -> None:
    """A server without memory refuses new messages, but takes renewals and returns."""
    client.zadd("unacked_index", {"mine": 1})
    client.hset("unacked", "mine", "message")
    client.config_set("maxmemory", 1)
    try:
        assert RENEW(client, ["unacked_index"], ["mine"]) == []
        assert client.zscore("unacked_index", "mine") > 1_000_000
        assert PUT_BACK(client, [*HELD, "a", "record"], ["", "mine", "message", ""]) == 1
        assert len(claim(client, 1)) == 1
    finally:
        client.config_set("maxmemory", 0)


def test_only_lapsed_leases_are_found(client: Any) -> None:
    """A fresh lease is not found, a lapsed one is, another transport's only after a time of its own."""
    seconds, _ = client.time()
    for lease, age_s in {"lease:old": 30, "lease:new": 5, "tag-old": 30, "tag-older": 4000}.items():
        client.zadd("unacked_index", {lease: seconds - age_s})
        client.hset("unacked", lease, f"record of {lease}")
    client.zadd("unacked_index", {"lease:orphan": 1})
    found = LAPSED(client, HELD, [20, 3600, "lease:", 10, 1000])
    assert found == [b"tag-older", b"record of tag-older", b"lease:old", b"record of lease:old"]
    assert client.zscore("unacked_index", "lease:orphan") is None
    assert len(LAPSED(client, HELD, [20, 3600, "lease:", 1, 1000])) == 2


def test_a_message_is_put_back_once(client: Any) -> None:
    """Whoever comes second puts nothing back, and a lease renewed in between is left alone."""
    client.lpush("a", "message")
    ((_, lease, _),) = claim(client, 1)
    assert PUT_BACK(client, [*HELD, "a", "record"], ["20", lease, "message", ""]) == 0
    assert PUT_BACK(client, [*HELD, "a", "record"], ["", lease, "message", ""]) == 1
    assert PUT_BACK(client, [*HELD, "a", "record"], ["", lease, "message", ""]) == 0
    assert client.lrange("a", 0, -1) == [b"message"]
    assert client.exists(*HELD) == 0


def test_a_message_put_back_is_consumed_next(client: Any) -> None:
    """It goes to the consuming end, before what waits."""
    client.lpush("a", "1", "2")
    ((_, lease, text),) = claim(client, 1)
    PUT_BACK(client, [*HELD, "a", "record"], ["", lease, text, ""])
    assert [text for *_, text in claim(client, 2, turns=1)] == ["1", "2"]


@pytest.mark.parametrize(
    ("record", "state"), [({"state": "sending"}, b"held"), ({"state": "sent", "ended": 1}, b"sent"), ({}, None)]
)
def test_the_record_of_a_dead_message_says_so(client: Any, record: dict[str, Any], state: bytes | None) -> None:
    """Who asks learns that it waits for an operator; what is over stays so, and no record is made."""
    if record:
        client.hset("record", mapping=record)
        client.expire("record", 60)
    client.lpush("a", "message")
    ((_, lease, _),) = claim(client, 1)
    assert PUT_BACK(client, [*HELD, "dead", "record"], ["", lease, "letter", "rejected"]) == 1
    assert (client.lrange("dead", 0, -1), client.hget("record", "state")) == ([b"letter"], state)


@pytest.mark.parametrize(("state", "after"), [("sending", b"queued"), ("sent", b"sent"), ("retrying", b"retrying")])
def test_the_record_of_a_message_put_back_says_that_it_waits(client: Any, state: str, after: bytes) -> None:
    """It was being sent, and now it is queued; anything else stays as it is."""
    client.hset("record", mapping={"state": state})
    client.expire("record", 60)
    client.lpush("a", "message")
    ((_, lease, _),) = claim(client, 1)
    PUT_BACK(client, [*HELD, "a", "record"], ["", lease, "message", ""])
    assert client.hget("record", "state") == after


def test_delayed_messages_are_promoted_when_due(client: Any) -> None:
    """What is due goes to its queue, the oldest first; the rest waits, and the answer says how long."""
    seconds, _ = client.time()
    for name, due_at in {"old": seconds - 9, "older": seconds - 99, "later": seconds + 100}.items():
        assert DELAY(client, DELAYED, [name, due_at, f"a\n{name}\nline", ""]) == 1
    count, next_in_ms = PROMOTE(client, DELAYED[:2], [10])
    assert count == 2
    assert 90_000 < next_in_ms <= 100_000
    assert [text for *_, text in claim(client, 3)] == ["older\nline", "old\nline"]
    assert client.hkeys("delayed.messages") == [b"later"]


def test_nothing_delayed_says_so(client: Any) -> None:
    """An empty store answers -1, and one that has more due than may be promoted answers 0."""
    assert PROMOTE(client, DELAYED[:2], [10]) == [0, -1]
    for name in "xy":
        DELAY(client, DELAYED, [name, 1, f"a\n{name}", ""])
    assert PROMOTE(client, DELAYED[:2], [1]) == [1, 0]


def test_delaying_again_replaces(client: Any) -> None:
    """The same id is delayed once, to the last time given."""
    DELAY(client, DELAYED, ["id", 1, "a\nfirst", ""])
    DELAY(client, DELAYED, ["id", 2, "a\nsecond", ""])
    assert client.zrange("delayed", 0, -1, withscores=True) == [(b"id", 2.0)]
    assert client.hgetall("delayed.messages") == {b"id": b"a\nsecond"}


def test_only_who_holds_a_message_can_delay_it(client: Any) -> None:
    """Delaying a held message ends its lease; when the lease is gone, another has the message, and nothing happens."""
    client.lpush("a", "message")
    ((_, lease, _),) = claim(client, 1)
    assert DELAY(client, DELAYED, ["id", 1, "a\nmessage", lease]) == 1
    assert client.exists(*HELD) == 0
    assert DELAY(client, DELAYED, ["other", 1, "a\nmessage", lease]) == 0
    assert client.zcard("delayed") == 1


def test_stepping_back_keeps_the_order(client: Any) -> None:
    """What stood at the front is in the queue again, before the rest, the oldest first."""
    client.lpush("a", "1", "2", "3")
    for _ in range(2):
        client.blmove("a", front_of("a"), 1, "RIGHT", "LEFT")
    assert STEP_BACK(client, [front_of("a"), "a"]) == 2
    assert client.lrange("a", 0, -1) == [b"3", b"2", b"1"]
