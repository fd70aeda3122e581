"""What becomes of a message that was taken."""

import json
from typing import Any

import pytest

from postroom_broker.transport import custody
from postroom_contract.names import QUEUE_NORMAL
from tests.broker.transport.conftest import consume, drain, message


@pytest.fixture
def taken(connection: Any, client: Any) -> list[Any]:
    """Three messages, taken one channel deep."""
    client.lpush(QUEUE_NORMAL, *(message(name) for name in "abc"))
    taken = consume(connection, prefetch=3)
    drain(connection, lambda: len(taken) == 3)
    return taken


def test_an_acknowledged_message_is_gone(connection: Any, client: Any, taken: list[Any]) -> None:
    """With the next turn of the loop."""
    taken[0].ack()
    assert client.hlen("unacked") == 3
    drain(connection, lambda: client.hlen("unacked") == 2)


def test_a_requeued_message_comes_again(connection: Any, client: Any, taken: list[Any]) -> None:
    """Before the others, with its count."""
    taken[0].requeue()
    drain(connection, lambda: len(taken) == 4)
    assert taken[3].body == b"a"
    assert taken[3].delivery_info["deliveries"] == 1
    assert taken[3].delivery_tag != taken[0].delivery_tag


def test_a_rejected_message_is_kept(client: Any, taken: list[Any]) -> None:
    """Among the dead, for an operator."""
    taken[1].reject()
    (entry,) = client.lrange("postroom.dead", 0, -1)
    assert json.loads(entry)["message"] == message("b")
    assert client.hlen("unacked") == 2


def test_a_channel_that_closes_hands_back(client: Any, taken: list[Any]) -> None:
    """What was acknowledged just before is not among it."""
    taken[0].ack()
    taken[0].channel.close()
    assert [json.loads(text)["body"] for text in reversed(client.lrange(QUEUE_NORMAL, 0, -1))] == ["c", "b"]
    assert client.hlen("unacked") == 0


def test_a_connection_that_broke_hands_nothing_back(connection: Any, client: Any, taken: list[Any]) -> None:
    """The work goes on, and its acknowledgement counts although the channel is gone."""
    connection.collect()
    assert client.llen(QUEUE_NORMAL) == 0
    taken[0].ack()
    more = consume(connection)
    drain(connection, lambda: client.hlen("unacked") == 2)
    assert more == []


def test_what_nobody_works_at_lapses_once_a_connection_broke(
    connection: Any, taken: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Celery forgets what it had not begun, so its lease is renewed no longer; what runs is still held."""
    running, *waiting = [message.delivery_tag for message in taken]
    monkeypatch.setattr(custody._life, "work", lambda: {running})
    leases = taken[0].channel.custody.leases
    connection.collect()

    assert [leases.holds(tag) for tag in (running, *waiting)] == [True, False, False]


def test_a_channel_can_be_asked_to_recover(client: Any, taken: list[Any]) -> None:
    """All that it has not acknowledged."""
    taken[0].channel.basic_qos(0, 1, False)  # noqa: FBT003 -- kombu's signature
    taken[0].channel.basic_recover(requeue=True)
    assert client.llen(QUEUE_NORMAL) == 3
