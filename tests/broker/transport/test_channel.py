"""What kombu's channels do, done by ours."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from kombu import Exchange, Producer, Queue

from postroom_broker.transport.envelope import UnreadableMessage
from postroom_contract.names import QUEUE_NORMAL
from tests.broker.transport.conftest import consume, drain, message

IN_AN_HOUR = (datetime.now(UTC) + timedelta(hours=1)).isoformat()


def test_a_message_without_acknowledgement_is_gone_when_taken(connection: Any, client: Any) -> None:
    """As answers to remote control are consumed; no thread is started for them."""
    client.lpush(QUEUE_NORMAL, message("a"))
    taken = consume(connection, no_ack=True)
    drain(connection, lambda: taken and not client.exists("unacked"))


def test_messages_can_be_fetched_one_by_one(connection: Any, client: Any) -> None:
    """Acknowledged by the caller, or at once; an empty queue gives none."""
    client.lpush(QUEUE_NORMAL, message("a"), message("b"))
    channel = connection.channel()
    first = channel.basic_get(QUEUE_NORMAL)
    assert (first.body, client.hlen("unacked")) == (b"a", 1)
    first.ack()
    assert channel.basic_get(QUEUE_NORMAL, no_ack=True).body == b"b"
    assert client.hlen("unacked") == 0
    assert channel.basic_get(QUEUE_NORMAL) is None
    client.lpush(QUEUE_NORMAL, "rubbish")
    with pytest.raises(UnreadableMessage):
        channel.basic_get(QUEUE_NORMAL)
    assert client.hlen("unacked") == 1


def test_what_is_not_due_waits_in_redis(connection: Any, client: Any) -> None:
    """Under its task's id, without its eta, be it due in a moment; what is due is queued."""
    soon = (datetime.now(UTC) + timedelta(seconds=0.5)).isoformat()
    past = (datetime.now(UTC) - timedelta(seconds=0.5)).isoformat()
    producer = Producer(connection.channel())
    producer.publish("later", routing_key=QUEUE_NORMAL, headers={"id": "a", "eta": IN_AN_HOUR})
    producer.publish("soon", routing_key=QUEUE_NORMAL, headers={"id": "b", "eta": soon})
    producer.publish("due", routing_key=QUEUE_NORMAL, headers={"id": "c", "eta": past})
    assert client.zrange("postroom.delayed", 0, -1) == [b"b", b"a"]
    key, _, text = client.hget("postroom.delayed.messages", "a").decode().partition("\n")
    assert (key, json.loads(text)["headers"]) == (QUEUE_NORMAL, {"id": "a", "eta": None})
    assert client.llen(QUEUE_NORMAL) == 1


def test_batches_delay_too(connection: Any, client: Any) -> None:
    """Kombu's pipelined publishing takes the same way."""
    producer: Any = Producer(connection.channel())
    with producer.batch(10):
        for name in "ab":
            producer.publish(name, routing_key=QUEUE_NORMAL, headers={"id": name, "eta": IN_AN_HOUR})
        producer.publish("now", routing_key=QUEUE_NORMAL)
    assert client.zcard("postroom.delayed") == client.hlen("postroom.delayed.messages") == 2
    assert client.llen(QUEUE_NORMAL) == 1


def test_a_message_that_is_not_due_leaves_the_consumer(connection: Any, client: Any) -> None:
    """Where another transport has queued it."""
    client.lpush(QUEUE_NORMAL, message("later", eta=IN_AN_HOUR), message("now"))
    taken = consume(connection)
    drain(connection, lambda: taken)
    assert [got.body for got in taken] == [b"now"]
    assert client.zrange("postroom.delayed", 0, -1) == [b"later"]
    assert client.hlen("unacked") == 1


def test_a_message_that_is_due_names_no_time(connection: Any, client: Any) -> None:
    """A worker's timer, which is emptied when a connection breaks, must not get it."""
    client.lpush(QUEUE_NORMAL, message("due", eta=(datetime.now(UTC) - timedelta(seconds=1)).isoformat()))
    taken = consume(connection)
    drain(connection, lambda: taken)
    assert [(got.body, got.headers.get("eta")) for got in taken] == [(b"due", None)]


def test_the_front_counts_as_the_queue(connection: Any, client: Any) -> None:
    """For its size, a purge and its deletion."""
    queue: Any = Queue("postroom.bound", Exchange("postroom.exchange"), "key", channel=connection.channel())
    queue.declare()
    for front in (f"{queue.name}.front", queue.name):
        client.lpush(front, message("a"))
    assert queue.queue_declare(passive=True).message_count == 2
    assert queue.purge() == 2
    client.lpush(f"{queue.name}.front", message("a"))
    queue.delete()
    assert client.exists(f"{queue.name}.front") == 0


def test_the_consumers_tag_is_the_lease(connection: Any, client: Any) -> None:
    """A token of this one delivery, so that nobody can acknowledge for somebody else."""
    client.lpush(QUEUE_NORMAL, message("a"))
    taken = consume(connection)
    drain(connection, lambda: taken)
    assert [taken[0].delivery_tag.encode()] == client.hkeys("unacked")
