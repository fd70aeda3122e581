"""Messages that wait in Redis until they are due: countdowns, retries, schedules.

Owns how they are stored and who promotes them (any process that holds leases). A worker's memory never holds one, and a
restart forgets none. What may be delayed, and how a user cancels it, is not decided here.
"""

from __future__ import annotations

import redis

from postroom_broker.transport.names import Names
from postroom_broker.transport.scripts import DELAY, PROMOTE, Argument

# How many messages one call promotes: the server does nothing else meanwhile (some 2 ms for small ones).
MOST_PER_CALL = 500


class Delays:
    """The delayed messages of one broker."""

    def __init__(self, client: redis.Redis, names: Names) -> None:
        self._client = client
        self._names = names

    def store(self, message_id: str, due_at: float, queue_key: str, message: str, lease: str = "") -> None:
        """Delay a message, and let go of the lease by which it was held, if any."""
        DELAY(self._client, *self.command(message_id, due_at, queue_key, message, lease))

    def command(
        self, message_id: str, due_at: float, queue_key: str, message: str, lease: str = ""
    ) -> tuple[list[str], list[Argument]]:
        """The keys and arguments with which the script stores a message, for a caller that pipelines."""
        names = self._names
        keys = [names.delayed, names.delayed_messages, names.unacked, names.index]
        return keys, [message_id, f"{due_at:.6f}", f"{queue_key}\n{message}", lease]

    def promote(self) -> float | None:
        """Put what is due into its queue, and return how long (s) until more is: None when nothing waits."""
        names = self._names
        _, next_in_ms = PROMOTE(self._client, [names.delayed, names.delayed_messages], [MOST_PER_CALL])
        return None if next_in_ms < 0 else next_in_ms / 1000
