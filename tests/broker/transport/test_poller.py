"""The turns of kombu's loop."""

import time
from typing import Any

from postroom_contract.names import QUEUE_NORMAL
from tests.broker.transport.conftest import consume, drain, message


def test_an_overdue_answer_drops_the_connection(connection: Any, client: Any) -> None:
    """A server that vanished without a word is not waited for."""
    taken = consume(connection)
    drain(connection, lambda: client.info("clients")["blocked_clients"] == 1)
    poller = connection.transport.cycle
    (channel,) = [channel for channel in poller._channels if channel.active_queues]
    (watch,) = [link for link in channel.asking.links() if link.is_waiting]
    poller.maybe_check_brpop_health()
    assert watch.is_waiting
    watch.asked_at = time.monotonic() - 60
    poller.maybe_check_brpop_health()
    assert not watch.is_waiting
    client.lpush(QUEUE_NORMAL, message("a"))
    drain(connection, lambda: taken)


def test_acknowledgements_go_out_with_each_turn(connection: Any, client: Any) -> None:
    """Many of them in one transaction."""
    client.lpush(QUEUE_NORMAL, *(message(str(number)) for number in range(20)))
    taken = consume(connection, prefetch=20)
    drain(connection, lambda: len(taken) == 20)
    client.config_resetstat()
    for got in taken:
        got.ack()
    drain(connection, lambda: not client.exists("unacked"))
    assert client.info("commandstats")["cmdstat_hdel"]["calls"] == 1


def test_a_socket_that_is_not_watched_is_ignored(connection: Any) -> None:
    """An event for a connection that was closed in the same turn."""
    assert connection.transport.cycle.on_readable(-1) is None
