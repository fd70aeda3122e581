"""Publishing: what is in Redis afterwards, that any Celery can read it, and what is known when it fails."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from kombu import Connection, Consumer, Queue
from kombu.message import Message

from postroom.testing import FullListener, SilentListener, free_port
from postroom_broker.connection import connect
from postroom_broker.publisher import TRACE_EXPIRY_S, Publisher, SealedDelivery, task_message
from postroom_contract.errors import BrokerUnavailable
from postroom_contract.names import QUEUE_NORMAL, RESULT_KEY
from tests.support import valkey as direct
from tests.support.redis_proxy import Fault, RedisProxy
from tests.support.valkey import ValkeyServer

DELIVERY = SealedDelivery("0d6b2f6e-6a0e-4a52-8f43-4b2f7a3a9d11", QUEUE_NORMAL, "v1.k1.payload")
TRACE = RESULT_KEY.format(id=DELIVERY.id)


def publish(broker_url: str, result_url: str | None = None) -> None:
    """Publish `DELIVERY` once."""
    broker = connect(broker_url)
    results = broker if result_url is None else connect(result_url)
    try:
        Publisher(broker, results).publish(DELIVERY)
    finally:
        broker.close()
        results.close()


def queued(url: str) -> int:
    """How many messages are in the queue."""
    with direct.connect(url) as client:
        return int(client.llen(QUEUE_NORMAL))


def trace(url: str) -> bytes | None:
    """The record that Celery would find."""
    with direct.connect(url) as client:
        stored: bytes | None = client.get(TRACE)
        return stored


def consume(url: str) -> Message:
    """Take one message with kombu's stock transport."""
    got: list[Message] = []
    with Connection(url) as connection:
        consumer = Consumer(
            connection, [Queue(QUEUE_NORMAL)], callbacks=[lambda _, message: got.append(message)], accept=["json"]
        )
        with consumer:
            connection.drain_events(timeout=10)
            got[0].ack()
    return got[0]


def test_a_stock_kombu_consumer_reads_the_message(redis_url: str) -> None:
    """Task, id and arguments are where Celery's message protocol 2 has them."""
    publish(redis_url)
    message = consume(redis_url)

    assert (message.content_type, message.content_encoding) == ("application/json", "utf-8")
    assert (message.headers["task"], message.headers["id"], message.headers["root_id"]) == (
        "postroom.deliver",
        DELIVERY.id,
        DELIVERY.id,
    )
    assert message.payload == [
        [DELIVERY.payload],
        {},
        {"callbacks": None, "errbacks": None, "chain": None, "chord": None},
    ]
    assert message.properties["correlation_id"] == DELIVERY.id
    assert message.delivery_info == {"exchange": "", "routing_key": QUEUE_NORMAL}
    assert queued(redis_url) == 0


def test_it_differs_from_celerys_own_message_in_nothing_that_a_worker_reads(redis_url: str) -> None:
    """Celery publishing the same task writes the same headers and properties, but for what varies by nature."""
    app = Celery("test", broker=redis_url, set_as_current=False)
    app.send_task(
        "postroom.deliver",
        (DELIVERY.payload,),
        task_id=DELIVERY.id,
        queue=QUEUE_NORMAL,
        argsrepr="<sealed>",
        kwargsrepr="<sealed>",
    )
    app.close()
    with direct.connect(redis_url) as client:
        theirs: dict[str, Any] = json.loads(client.rpop(QUEUE_NORMAL))
    ours = json.loads(task_message(DELIVERY))

    for headers in (theirs["headers"], ours["headers"]):
        headers.pop("origin")
        headers.pop("ignore_result")  # None there means the task's own word, which is False here
    new_in_theirs = {"group_index", "shadow", "replaced_task_nesting", "stamped_headers", "stamps"}
    assert {k: v for k, v in theirs["headers"].items() if k not in new_in_theirs} == ours["headers"]
    shown_in_both = {"argsrepr", "kwargsrepr"}  # Celery writes them twice; workers read the headers
    assert theirs["properties"].keys() - shown_in_both == ours["properties"].keys()
    assert ours["properties"]["delivery_mode"] == theirs["properties"]["delivery_mode"]
    assert {k: theirs[k] for k in ("content-type", "content-encoding")} == {
        k: ours[k] for k in ("content-type", "content-encoding")
    }


def test_arguments_are_shown_nowhere() -> None:
    """Events, logs and Flower print `argsrepr`: it says that there is something, and not what."""
    headers = json.loads(task_message(DELIVERY))["headers"]

    assert (headers["argsrepr"], headers["kwargsrepr"]) == ("<sealed>", "<sealed>")


def test_the_oldest_message_is_taken_first(redis_url: str) -> None:
    """Pushed on the left, taken from the right, as kombu does."""
    broker = connect(redis_url)
    publisher = Publisher(broker, broker)
    for number in range(3):
        publisher.publish(SealedDelivery(f"d{number}", QUEUE_NORMAL, "p"))
    broker.close()

    assert [consume(redis_url).headers["id"] for _ in range(3)] == ["d0", "d1", "d2"]


def test_the_trace_says_pending_and_expires(redis_url: str) -> None:
    """Celery itself reads "pending" from it, and nothing of it stays for ever."""
    publish(redis_url)
    with direct.connect(redis_url) as client:
        assert 0 < client.ttl(TRACE) <= TRACE_EXPIRY_S
        client.delete(QUEUE_NORMAL)
    app = Celery("test", backend=redis_url, set_as_current=False)

    assert app.AsyncResult(DELIVERY.id).state == "PENDING"
    assert app.backend.get_task_meta(DELIVERY.id)["status"] == "PENDING"
    backend: Any = app.backend
    backend.client.close()


def test_a_result_that_is_there_already_is_kept(redis_url: str) -> None:
    """A delivery published again does not make its outcome pending again."""
    with direct.connect(redis_url) as client:
        client.set(TRACE, "outcome", ex=60)
    publish(redis_url)

    assert trace(redis_url) == b"outcome"


def test_two_servers(redis_url: str, valkey_program: Path, tmp_path: Path) -> None:
    """The task goes to the broker and its trace to the other server, which also expires it."""
    with ValkeyServer(valkey_program, tmp_path) as results:
        publish(redis_url, results.url)

        assert queued(redis_url) == 1
        assert trace(redis_url) is None
        assert json.loads(trace(results.url) or b"")["status"] == "PENDING"
        with direct.connect(results.url) as client:
            assert client.ttl(TRACE) > 0


def test_without_the_result_server_nothing_is_queued(redis_url: str) -> None:
    """A task without a trace could never be asked for: the trace comes first."""
    with pytest.raises(BrokerUnavailable) as caught:
        publish(redis_url, f"redis://127.0.0.1:{free_port()}/0")

    assert not caught.value.maybe_enqueued
    assert queued(redis_url) == 0


@pytest.fixture(params=[Fault.SWALLOW, Fault.CUT_BEFORE, Fault.LOSE_ANSWER, Fault.CUT_AFTER])
def faulty(request: pytest.FixtureRequest, valkey: ValkeyServer) -> Iterator[tuple[RedisProxy, Fault]]:
    """A Redis that loses the transaction or the answer to it."""
    with RedisProxy(valkey.port, b"EXEC", request.param) as proxy:
        yield proxy, request.param


def test_a_transaction_that_was_never_answered_may_be_queued(redis_url: str, faulty: tuple[RedisProxy, Fault]) -> None:
    """Whether it arrived or not cannot be known here, and that is what is told; task and trace are both there or neither."""
    proxy, fault = faulty
    with pytest.raises(BrokerUnavailable) as caught:
        publish(f"{proxy.url}?socket_timeout=0.3")
    arrived = fault in {Fault.LOSE_ANSWER, Fault.CUT_AFTER}

    assert (caught.value.maybe_enqueued, caught.value.receipt_id) == (True, DELIVERY.id)
    assert (queued(redis_url), trace(redis_url) is not None) == (int(arrived), arrived)


def test_nothing_listens() -> None:
    """No connection, so nothing can be queued."""
    with pytest.raises(BrokerUnavailable) as caught:
        publish(f"redis://127.0.0.1:{free_port()}/0")

    assert (caught.value.maybe_enqueued, caught.value.receipt_id) == (False, DELIVERY.id)


@pytest.mark.parametrize("listener", [SilentListener, FullListener])
def test_a_server_that_does_not_answer_is_given_up_in_time(listener: type[SilentListener]) -> None:
    """With the timeouts as they are: the promise to a web request is six seconds, so here time is the point."""
    with listener() as silent:
        started = time.monotonic()
        with pytest.raises(BrokerUnavailable) as caught:
            publish(f"redis://{silent.host}:{silent.port}/0")

    assert time.monotonic() - started < 6
    assert not caught.value.maybe_enqueued


def test_redis_killed_between_two_messages(valkey_program: Path, tmp_path: Path) -> None:
    """The dead connection is noticed before anything leaves on it; back again, the same publisher goes on."""
    with ValkeyServer(valkey_program, tmp_path) as server:
        broker = connect(server.url)
        publisher = Publisher(broker, broker)
        publisher.publish(DELIVERY)
        server.kill()
        with pytest.raises(BrokerUnavailable) as caught:
            publisher.publish(DELIVERY)
        assert not caught.value.maybe_enqueued
        server.start()
        publisher.publish(DELIVERY)
        broker.close()

        assert queued(server.url) == 1


def test_a_connection_closed_between_two_messages_costs_nothing(redis_url: str) -> None:
    """A connection that the server closed while it was idle is replaced before it is used."""
    broker = connect(redis_url)
    publisher = Publisher(broker, broker)
    publisher.publish(DELIVERY)
    with direct.connect(redis_url) as client:
        client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    publisher.publish(DELIVERY)
    broker.close()

    assert queued(redis_url) == 2


def test_a_full_redis_queues_nothing(valkey_program: Path, tmp_path: Path) -> None:
    """Out of memory is an answer: certain, atomic, told with Redis's own words and without the command."""
    options = ["--maxmemory", "1", "--maxmemory-policy", "noeviction"]
    with ValkeyServer(valkey_program, tmp_path, options=options) as server:
        with pytest.raises(BrokerUnavailable) as caught:
            publish(server.url)

        assert (queued(server.url), trace(server.url)) == (0, None)
    assert (caught.value.maybe_enqueued, caught.value.receipt_id) == (False, DELIVERY.id)
    assert "command not allowed when used memory" in str(caught.value)
    assert not any(word in f"{caught.value} {caught.value.args}" for word in ("payload", "Command #", TRACE))


@pytest.mark.parametrize("credentials", ["", ":wrong@", "nobody:wrong@"])
def test_a_wrong_password_queues_nothing(valkey_program: Path, tmp_path: Path, credentials: str) -> None:
    """No login, no message; the password is not repeated."""
    with ValkeyServer(valkey_program, tmp_path) as server, direct.connect(server.url) as admin:
        admin.config_set("requirepass", "right")
        try:
            with pytest.raises(BrokerUnavailable) as caught:
                publish(server.url.replace("//", f"//{credentials}"))
            assert admin.llen(QUEUE_NORMAL) == 0
        finally:
            admin.config_set("requirepass", "")

    assert not caught.value.maybe_enqueued
    assert "wrong" not in f"{caught.value} {caught.value.args}".replace("WRONGPASS", "")


def test_a_right_password_is_used(valkey_program: Path, tmp_path: Path) -> None:
    """From the URL, percent-encoding undone."""
    with ValkeyServer(valkey_program, tmp_path) as server, direct.connect(server.url) as admin:
        admin.config_set("requirepass", "r@ght/")
        publish(server.url.replace("//", "//:r%40ght%2F@"))
        assert admin.llen(QUEUE_NORMAL) == 1


def test_a_read_only_replica_refuses(valkey_program: Path, tmp_path: Path) -> None:
    """A replica that took over the address by mistake says no, and nothing is queued."""
    options = ["--replicaof", "127.0.0.1", str(free_port())]
    with ValkeyServer(valkey_program, tmp_path, options=options) as server, pytest.raises(BrokerUnavailable) as caught:
        publish(server.url)

    assert not caught.value.maybe_enqueued
