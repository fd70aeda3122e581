"""The task messages as they lie in Redis: Celery's message protocol 2, as kombu's Redis transport stores it.

Owns that form, written by hand because it is twenty times faster than Celery's own publishing and needs no Celery in a web
process. It sees ids and sealed text only. Any Celery worker can read what it writes; the ledger puts it into a queue. The news
of an end is first written by the ledger's scripts, in the same form (`lua/hand_on.lua`).
"""

from __future__ import annotations

import json
import os
import socket
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from postroom_contract.names import QUEUE_NEWS, TASK_DELIVER, TASK_TELL
from postroom_contract.news import News

# What stands in for the arguments in events, logs and Flower.
SEALED = "<sealed>"


@dataclass(frozen=True, slots=True)
class SealedDelivery:
    """A sealed delivery ready to be queued."""

    id: str
    queue: str
    payload: str
    # Of a retry: what the attempts before it achieved, sealed, and how many they were.
    progress: str | None = None
    retries: int = 0
    # Who is told of its end, sealed; empty: nobody.
    destination: str = ""
    # Headers of the trace that it belongs to: random numbers, in the clear.
    trace: Mapping[str, str] = field(default_factory=dict)


def task_message(delivery: SealedDelivery) -> str:
    """The task as kombu keeps it in a list: Celery's message protocol 2, its body as plain JSON text."""
    arguments = [delivery.payload] if delivery.progress is None else [delivery.payload, delivery.progress]
    return _message(TASK_DELIVER, delivery.id, delivery.id, delivery.queue, arguments, delivery.retries, delivery.trace)


def news_message(news: News, destination: str) -> str:
    """The task that tells news, in the same form, to be tried from the beginning."""
    arguments = [*news.arguments, destination]
    return _message(TASK_TELL, news.task_id, news.id, QUEUE_NEWS, arguments, 0, {})


def _message(  # noqa: PLR0913, PLR0917 -- what a message says
    task: str,
    task_id: str,
    root_id: str,
    queue: str,
    arguments: Sequence[object],
    retries: int,
    trace: Mapping[str, str],
) -> str:
    return json.dumps(
        {
            "body": json.dumps([arguments, {}, _NO_FOLLOW_UPS]),
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": {
                **trace,
                "lang": "py",
                "task": task,
                "id": task_id,
                "root_id": root_id,
                "parent_id": None,
                "group": None,
                "retries": retries,
                "timelimit": [None, None],
                "eta": None,
                "expires": None,
                "argsrepr": SEALED,
                "kwargsrepr": SEALED,
                "origin": f"{os.getpid()}@{socket.gethostname()}",
                "ignore_result": False,
            },
            "properties": {
                "correlation_id": task_id,
                "reply_to": "",
                "delivery_mode": 2,
                "delivery_info": {"exchange": "", "routing_key": queue},
                "delivery_tag": str(uuid.uuid4()),
                "priority": 0,
                # Sealed text is ASCII already: base64 over it would only make it a third longer.
                "body_encoding": None,
            },
        }
    )


_NO_FOLLOW_UPS = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
