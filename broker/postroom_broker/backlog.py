"""What waits at the broker, counted from outside: queues, delayed and held messages, dead letters, and what workers hold.

Owns the one call that reads all of it at the same moment, by the server's clock. It opens nothing and changes nothing; what
it finds is shown by the worker's metrics.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import redis

from postroom_broker import keys
from postroom_broker.connection import connect, translated
from postroom_broker.ledger.record import record_key
from postroom_broker.script import Script
from postroom_broker.transport.names import front_of
from postroom_contract.names import ALL_QUEUES

BACKLOG = Script("postroom_broker", "backlog")


@dataclass(frozen=True, slots=True)
class QueueBacklog:
    """What waits in one queue."""

    messages: int
    # For how long the message could have been sent that is given out next; None where nobody noted since when.
    oldest_s: float | None


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits at one broker, at one moment."""

    queues: Mapping[str, QueueBacklog]
    # Messages that workers hold, whatever they are.
    leased: int
    delayed: int
    # By how much the first of them is late; 0 where none is due.
    late_s: float
    held: int
    dead: int


class Counter:
    """Counts at one broker, over a connection of its own, so that no delivery waits for it."""

    def __init__(self, url: str) -> None:
        self._client = connect(url)

    def count(self) -> Backlog:
        """What waits now.

        Raises:
            BrokerUnavailable: Redis is away.
        """
        return _read(self._client)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


def _read(client: redis.Redis) -> Backlog:
    names = [keys.UNACKED_INDEX, keys.DELAYED, keys.HELD, keys.DEAD]
    for queue in ALL_QUEUES:
        names += [queue, front_of(queue)]
    with translated(client):
        answer: Any = BACKLOG(client, names, [record_key("")])
    now, leased, delayed, first_due, held, dead, *queues = answer
    return Backlog(
        queues={
            queue: QueueBacklog(count, None if count and not due else _since(due, now))
            for queue, (count, due) in zip(ALL_QUEUES, queues, strict=True)
        },
        leased=leased,
        delayed=delayed,
        late_s=_since(first_due, now),
        held=held,
        dead=dead,
    )


def _since(due: bytes, now: bytes) -> float:
    return max(0.0, float(now) - float(due)) if due else 0.0
