"""The task message: that any Celery can read it, and that it shows nothing."""

import json
from typing import Any

from celery import Celery
from kombu import Connection, Consumer, Queue
from kombu.message import Message

from postroom_broker.task_message import SealedDelivery, task_message
from postroom_contract.names import QUEUE_NORMAL
from tests.support import valkey as direct

DELIVERY = SealedDelivery("0d6b2f6e-6a0e-4a52-8f43-4b2f7a3a9d11", QUEUE_NORMAL, "v1.k1.payload")


def publish(url: str, delivery: SealedDelivery) -> None:
    """Queue a delivery."""
    with direct.connect(url) as client:
        client.lpush(delivery.queue, task_message(delivery))


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
    publish(redis_url, DELIVERY)
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


def test_a_retry_brings_its_progress_along_and_counts() -> None:
    """The sealed progress is the second argument, and Celery's own count says which attempt it is."""
    message = json.loads(task_message(SealedDelivery("d1", QUEUE_NORMAL, "payload", "progress", retries=2)))

    assert json.loads(message["body"])[0] == ["payload", "progress"]
    assert message["headers"]["retries"] == 2
