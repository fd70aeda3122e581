"""Handing a delivery over: one Redis transaction that leaves the task in its queue and a trace of it under its id.

Owns the form of the task message (Celery's message protocol 2 as kombu's Redis transport stores it), written by hand
because it is twenty times faster than Celery's own publishing and needs no Celery in a web process. It sees ids and
sealed text only. Any Celery worker can read what it writes.
"""

from __future__ import annotations

import json
import os
import socket
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from postroom_broker.connection import translated
from postroom_contract.names import RESULT_KEY, TASK_DELIVER

if TYPE_CHECKING:
    import redis

# What stands in for the arguments in events, logs and Flower.
SEALED = "<sealed>"
# A delivery is retried for up to a day and its outcome is kept for another; a week leaves room for a worker that was
# away over a weekend.
TRACE_EXPIRY_S = 7 * 24 * 3600
# What Celery stores for a task that has not run: it tells "queued" from "never heard of".
_PENDING: dict[str, object] = {"status": "PENDING", "result": None, "traceback": None, "children": []}


@dataclass(frozen=True, slots=True)
class SealedDelivery:
    """A sealed delivery ready to be queued."""

    id: str
    queue: str
    payload: str


class Publisher:
    """Puts sealed deliveries into their queues."""

    def __init__(self, broker: redis.Redis, results: redis.Redis) -> None:
        """Publish to one Redis and leave the trace in another; usually both are the same."""
        self._broker = broker
        self._results = results
        self._same = _where(broker) == _where(results)

    def publish(self, delivery: SealedDelivery) -> None:
        """Queue one delivery.

        Raises:
            BrokerUnavailable: Redis is away; `maybe_enqueued` says whether the command had left.
        """
        trace = RESULT_KEY.format(id=delivery.id), json.dumps({**_PENDING, "task_id": delivery.id})
        if not self._same:
            # First: a trace without a task merely expires, a task without its trace could not be found.
            with translated(self._results, receipt_id=delivery.id):
                self._results.set(*trace, ex=TRACE_EXPIRY_S, nx=True)
        with translated(self._broker, receipt_id=delivery.id):
            # A live connection first, so that only what is lost after this line counts as perhaps enqueued.
            self._broker.connection_pool.release(self._broker.connection_pool.get_connection())
        with translated(self._broker, maybe_enqueued=True, receipt_id=delivery.id):
            transaction = self._broker.pipeline(transaction=True)
            if self._same:
                transaction.set(*trace, ex=TRACE_EXPIRY_S, nx=True)
            transaction.lpush(delivery.queue, task_message(delivery))
            transaction.execute()


def task_message(delivery: SealedDelivery) -> str:
    """The task as kombu keeps it in a list: Celery's message protocol 2, its body as plain JSON text."""
    return json.dumps(
        {
            "body": json.dumps([[delivery.payload], {}, _NO_FOLLOW_UPS]),
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": {
                "lang": "py",
                "task": TASK_DELIVER,
                "id": delivery.id,
                "root_id": delivery.id,
                "parent_id": None,
                "group": None,
                "retries": 0,
                "timelimit": [None, None],
                "eta": None,
                "expires": None,
                "argsrepr": SEALED,
                "kwargsrepr": SEALED,
                "origin": f"{os.getpid()}@{socket.gethostname()}",
                "ignore_result": False,
            },
            "properties": {
                "correlation_id": delivery.id,
                "reply_to": "",
                "delivery_mode": 2,
                "delivery_info": {"exchange": "", "routing_key": delivery.queue},
                "delivery_tag": str(uuid.uuid4()),
                "priority": 0,
                # Sealed text is ASCII already: base64 over it would only make it a third longer.
                "body_encoding": None,
            },
        }
    )


_NO_FOLLOW_UPS = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}


def _where(client: redis.Redis) -> tuple[object, ...]:
    options = client.connection_pool.connection_kwargs
    return tuple(options.get(name) for name in ("host", "port", "db", "path"))
