"""Where messages go that come back."""

import json
import time
from typing import Any

import pytest

from postroom_broker.death_reasons import DeathReason
from postroom_broker.transport.names import Terms
from postroom_broker.transport.returns import MOST_BYTES_PER_CALL, MOST_PER_CALL, Returns
from postroom_broker.transport.scripts import LAPSED
from tests.broker.transport.conftest import NAMES, message

FAR = float("inf")


@pytest.fixture
def returns(client: Any) -> Returns:
    """Leases of 20 s, three deliveries."""
    return Returns(client, NAMES, Terms(20.0, 3))


def hold(client: Any, lease: str, record: str | bytes, age_s: float = 0.0) -> None:
    """Put a record under a lease of some age."""
    client.hset(NAMES.unacked, lease, record)
    client.zadd(NAMES.index, {lease: time.time() - age_s})


def record(name: str, queue: str = "postroom.q") -> str:
    """Return what a claim writes."""
    return f'[{message(name, queue)},"","{queue}"]'


def names_in(client: Any, queue: str = "postroom.q") -> list[str]:
    """Return the bodies in a queue, the next to be consumed first."""
    return [json.loads(text)["body"] for text in reversed(client.lrange(queue, 0, -1))]


def test_handing_back_marks_and_does_not_count(client: Any, returns: Returns) -> None:
    """An orderly return: the message is next, marked as delivered before, and no failure is counted."""
    client.lpush("postroom.q", message("waiting"))
    hold(client, "lease:1", record("a"))
    assert returns.hand_back(["lease:1", "gone"], in_vain=False) == 1
    assert names_in(client) == ["a", "waiting"]
    info = json.loads(client.rpop("postroom.q"))["properties"]["delivery_info"]
    assert (info["redelivered"], info["deliveries"]) == (True, 0)
    assert client.exists(NAMES.unacked, NAMES.index) == 0


def test_only_lapsed_messages_are_reaped(client: Any, returns: Returns) -> None:
    """All of them, however many; fresh ones and those of a stock worker at work stay."""
    for number in range(MOST_PER_CALL + 3):
        hold(client, f"lease:{number}", record(str(number)), age_s=30)
    hold(client, "lease:fresh", record("fresh"))
    hold(client, "stock-tag", record("stock"), age_s=30)
    assert returns.reap(FAR) == MOST_PER_CALL + 3
    assert sorted(names_in(client)) == sorted(str(number) for number in range(MOST_PER_CALL + 3))
    assert sorted(client.hkeys(NAMES.unacked)) == [b"lease:fresh", b"stock-tag"]
    assert returns.reap(FAR) == 0


def test_a_late_answer_reaps_nothing(client: Any, returns: Returns) -> None:
    """A server that stood still calls everything lapsed."""
    hold(client, "lease:1", record("a"), age_s=30)
    assert returns.reap(time.monotonic() - 1) == 0
    assert client.hlen(NAMES.unacked) == 1


def test_large_messages_are_reaped_one_by_one(client: Any, returns: Returns) -> None:
    """One call fetches no more than gets through in time, and what is found one by one is returned all the same."""
    large = json.dumps({**json.loads(message("a")), "body": "x" * (MOST_BYTES_PER_CALL // 2 + 1)})
    for number in range(3):
        hold(client, f"lease:{number}", f'[{large},"","postroom.q"]', age_s=30)
    hold(client, "lease:small", record("b"), age_s=25)
    terms = (0.5, 3600, "lease:", 32, MOST_BYTES_PER_CALL)
    assert len(LAPSED(client, [NAMES.unacked, NAMES.index], terms)) == 2
    assert returns.reap(FAR) == 4
    assert client.llen("postroom.q") == 4


def test_two_reapers_return_a_message_once(client: Any, returns: Returns) -> None:
    """What one has found, the other may have returned."""
    hold(client, "lease:1", record("a"), age_s=30)
    assert returns.reap(FAR) + returns.reap(FAR) + returns.hand_back(["lease:1"], in_vain=True) == 1
    assert names_in(client) == ["a"]


def test_the_limit_of_deliveries(client: Any, returns: Returns) -> None:
    """The third delivery in vain is the last: the message is kept as it then was."""
    text, last = record("a"), ""
    for lease in ("lease:1", "lease:2"):
        hold(client, lease, text, age_s=30)
        returns.reap(FAR)
        last = client.rpop("postroom.q").decode()
        text = f'[{last},"","postroom.q"]'
    hold(client, "lease:3", text, age_s=30)
    returns.reap(FAR)
    assert client.llen("postroom.q") == 0
    entry = json.loads(client.lpop(NAMES.dead))
    assert (entry["reason"], entry["deliveries"], entry["queue"]) == ("too_many_deliveries", 3, "postroom.q")
    assert entry["message"] == last


def test_a_message_can_be_buried(client: Any, returns: Returns) -> None:
    """With a reason; one that is not held cannot."""
    hold(client, "lease:1", record("a"))
    returns.bury("lease:1", DeathReason.REJECTED)
    returns.bury("lease:1", DeathReason.REJECTED)
    (entry,) = client.lrange(NAMES.dead, 0, -1)
    assert json.loads(entry)["reason"] == "rejected"
    assert json.loads(entry)["message"] == message("a", "postroom.q")
    assert client.exists(NAMES.unacked) == 0


def test_rubbish_of_a_dead_worker_is_kept(client: Any, returns: Returns) -> None:
    """A record that cannot be read is no reason to stop reaping the others."""
    hold(client, "lease:1", b'[\xff,"","postroom.q"]', age_s=30)
    hold(client, "lease:2", b"rubbish", age_s=30)
    hold(client, "lease:3", '[{"properties": 1},"","postroom.q"]', age_s=30)
    hold(client, "lease:4", record("a"), age_s=30)
    for number, odd in enumerate(('"deliveries": 1e999', '"deliveries": [1]', '"deliveries": "\\ud800"')):
        text = f'{{"properties": {{"delivery_info": {{"routing_key": "q", {odd}}}}}}}'
        hold(client, f"lease:odd{number}", f'[{text},"","postroom.q"]', age_s=30)
    hold(client, "lease:5", '[{"properties": {"delivery_info": {}}},"","\\ud800"]', age_s=30)
    assert returns.reap(FAR) == 8
    assert names_in(client) == ["a"]
    assert {json.loads(entry)["reason"] for entry in client.lrange(NAMES.dead, 0, -1)} == {"unreadable"}


def test_odd_names_and_numbers_hold_up_nobody(client: Any, returns: Returns) -> None:
    """Half a surrogate pair in an id, an infinite priority: such a message goes back like any other."""
    for number, odd in enumerate(('"headers": {"id": "\\ud800"}', '"headers": {"id": 5}')):
        text = f'{{{odd}, "properties": {{"priority": 1e999, "delivery_info": {{}}}}}}'
        hold(client, f"lease:{number}", f'[{text},"","postroom.q"]', age_s=30)
    hold(client, "lease:last", record("a"), age_s=30)
    assert returns.reap(FAR) == 3
    assert client.llen("postroom.q") == 3


@pytest.mark.parametrize(
    ("bound", "routing_key", "queue"),
    [
        ("rubbish", "postroom.by-name", "postroom.by-name"),
        ("a.*\x06\x16(\x06\x16postroom.topic", "postroom.by-name", "postroom.by-name"),
        ("key\x06\x16\x06\x16postroom.bound", "key", "postroom.bound"),
        ("a.*\x06\x16^a\\.[^.]+$\x06\x16postroom.topic", "a.b", "postroom.topic"),
        ("other\x06\x16\x06\x16postroom.bound", "postroom.by-name", "postroom.by-name"),
    ],
)
def test_a_message_of_an_exchange_finds_its_queue(
    client: Any, returns: Returns, bound: str, routing_key: str, queue: str
) -> None:
    """What a stock worker left names an exchange; its binding says the queue, and without one the routing key does."""
    client.sadd("_kombu.binding.exchange", bound)
    hold(client, "tag", f'[{message("a")}, "exchange", "{routing_key}"]', age_s=4000)
    assert returns.reap(FAR) == 1
    assert names_in(client, queue) == ["a"]
