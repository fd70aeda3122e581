"""How a channel asks for mail: on kombu's own loop in this process."""

import time
from typing import Any

from postroom_broker.transport import custody
from postroom_broker.transport.asking import MOST_PER_CLAIM
from postroom_contract.names import QUEUE_BULK, QUEUE_NORMAL, QUEUE_URGENT
from tests.broker.transport.conftest import consume, drain, message
from tests.support.waiting import wait_until


def blocked(client: Any) -> int:
    """Return how many consumers wait for a message."""
    return int(client.info("clients")["blocked_clients"])


def test_what_is_there_is_taken_in_order(connection: Any, client: Any) -> None:
    """More than one claim's worth."""
    count = MOST_PER_CLAIM * 2 + 5
    client.lpush(QUEUE_NORMAL, *(message(str(number)) for number in range(count)))
    taken = consume(connection)
    drain(connection, lambda: len(taken) == count)
    assert [int(got.body) for got in taken] == list(range(count))
    assert client.hlen("unacked") == count


def test_no_more_is_taken_than_there_are_slots(connection: Any, client: Any) -> None:
    """An acknowledgement makes room for the next."""
    client.lpush(QUEUE_NORMAL, *(message(str(number)) for number in range(5)))
    taken = consume(connection, prefetch=2)
    drain(connection, lambda: len(taken) == 2)
    assert client.llen(QUEUE_NORMAL) == 3
    taken[0].ack()
    drain(connection, lambda: len(taken) == 3)
    assert client.llen(QUEUE_NORMAL) == 2


def test_one_message_wakes_one_of_many(connection: Any, client: Any) -> None:
    """Two idle consumers: one message reaches one, and the other goes on waiting undisturbed."""
    one, other = consume(connection), consume(connection)
    drain(connection, lambda: blocked(client) == 2)
    client.config_resetstat()
    client.lpush(QUEUE_NORMAL, message("a"))
    drain(connection, lambda: one or other)
    assert len(one) + len(other) == 1
    assert client.info("commandstats")["cmdstat_evalsha"]["calls"] <= 4


def test_a_full_server_is_asked_again_and_ends_no_worker(connection: Any, client: Any) -> None:
    """It refuses the wait, but a claim it takes, and so the queue is drained; with room again all goes on as before."""
    taken = consume(connection)
    drain(connection, lambda: blocked(client) == 1)
    client.lpush(QUEUE_NORMAL, *(message(str(number)) for number in range(3)))
    client.config_set("maxmemory", 1)
    try:
        drain(connection, lambda: len(taken) == 3)
        client.config_resetstat()
        drain(connection, lambda: client.info("commandstats").get("cmdstat_blmove", {}).get("rejected_calls", 0) > 1)
    finally:
        client.config_set("maxmemory", 0)
    client.lpush(QUEUE_NORMAL, message("with room again"))
    drain(connection, lambda: len(taken) == 4)


def test_all_queues_are_waited_for(connection: Any, client: Any) -> None:
    """A message wakes a consumer whichever queue it comes to."""
    taken = {queue: consume(connection, queue) for queue in (QUEUE_URGENT, QUEUE_NORMAL, QUEUE_BULK)}
    for queue, got in taken.items():
        drain(connection, lambda: blocked(client) == 3)
        client.lpush(queue, message(queue, queue))
        drain(connection, lambda: got)  # noqa: B023 -- called before it changes


def test_what_a_dead_consumer_had_moved_is_found(connection: Any, client: Any) -> None:
    """A message at the front of a queue, with nobody who knows of it."""
    taken = consume(connection)
    drain(connection, lambda: blocked(client) == 1)
    client.lpush(f"{QUEUE_NORMAL}.front", message("a"))
    drain(connection, lambda: taken)


def test_a_full_consumer_steps_back(connection: Any, client: Any) -> None:
    """A wait that ends when there is no slot any more leaves the message to others."""
    taken = consume(connection, prefetch=1)
    drain(connection, lambda: blocked(client) == 1)
    (channel,) = [channel for channel in connection.transport.channels if channel.active_queues]
    client.lpush(f"{QUEUE_NORMAL}.front", message("a"))
    channel.asking.look_again()
    channel.asking.ask()
    drain(connection, lambda: taken)
    assert blocked(client) == 1
    client.lpush(QUEUE_NORMAL, message("b"))
    drain(connection, lambda: client.llen(QUEUE_NORMAL) == 1)
    assert client.llen(f"{QUEUE_NORMAL}.front") == 0
    assert len(taken) == 1


def test_a_process_that_hangs_takes_nothing(connection: Any, client: Any) -> None:
    """It would only hold up what another could send."""
    custody.renew_only_while(lambda: False)
    taken = consume(connection)
    client.lpush(QUEUE_NORMAL, message("a"))
    until = time.monotonic() + 0.3
    drain(connection, lambda: time.monotonic() > until)
    assert taken == []
    custody.renew_only_while(lambda: True)
    drain(connection, lambda: taken)


def test_scripts_may_be_forgotten(connection: Any, client: Any) -> None:
    """A server that was restarted knows no script."""
    taken = consume(connection)
    for name in "ab":
        client.script_flush()
        client.lpush(QUEUE_NORMAL, message(name))
        drain(connection, lambda: len(taken) == 1 + "ab".index(name))  # noqa: B023 -- called before it changes


def test_a_cut_connection_is_opened_again(connection: Any, client: Any) -> None:
    """Without a word to the consumer, whether it waits or not."""
    taken = consume(connection)
    drain(connection, lambda: blocked(client) == 1)
    for name in "ab":
        client.client_kill_filter(_type="normal", skipme=True)
        wait_until(lambda: blocked(client) == 0, 10)
        client.lpush(QUEUE_NORMAL, message(name))
        drain(connection, lambda: len(taken) == 1 + "ab".index(name))  # noqa: B023 -- called before it changes


def test_closing_leaves_nothing_behind(connection: Any, client: Any) -> None:
    """What was claimed but not seen, and what was moved to the front, is in the queue again."""
    taken = consume(connection)
    drain(connection, lambda: blocked(client) == 1)
    (channel,) = [channel for channel in connection.transport.channels if channel.active_queues]
    client.lpush(f"{QUEUE_NORMAL}.front", message("front"))
    client.lpush(QUEUE_NORMAL, message("queue"))
    channel.asking.look_again()
    channel.asking.ask()
    channel.close()
    assert taken == []
    assert client.llen(QUEUE_NORMAL) == 2
    assert client.exists("unacked", f"{QUEUE_NORMAL}.front") == 0


def test_a_claim_on_its_way_is_handed_back_when_consuming_ends(connection: Any, client: Any) -> None:
    """Before the channel closes: a worker that ends may wait for its last tasks for long."""
    client.lpush(QUEUE_NORMAL, message("a"))
    taken = consume(connection)
    (channel,) = [channel for channel in connection.transport.channels if channel.active_queues]
    connection.transport.cycle.on_poll_start()
    wait_until(lambda: client.hlen("unacked") == 1, 10)
    channel.basic_cancel(next(iter(channel._consumers)))
    assert (client.llen(QUEUE_NORMAL), client.hlen("unacked"), taken) == (1, 0, [])


def test_a_queue_that_is_not_consumed_any_more_gets_its_message_back(connection: Any, client: Any) -> None:
    """A wait that was begun before may still move one."""
    taken = consume(connection)
    (channel,) = [channel for channel in connection.transport.channels if channel.active_queues]
    channel.basic_consume(QUEUE_BULK, False, taken.append, "bulk")  # noqa: FBT003 -- kombu's signature
    drain(connection, lambda: blocked(client) == 2)
    channel.basic_cancel("bulk")
    client.lpush(QUEUE_BULK, message("b", QUEUE_BULK))
    drain(connection, lambda: client.llen(QUEUE_BULK) == 1)
    assert taken == []
