"""What the transport keeps in Redis, and under which names.

Owns the full name of every key (the operator's `global_keyprefix` included) and the terms of a lease. Queues, bindings
and `unacked` are named as kombu's own transport names them, so that both read each other's data.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Sequence
from dataclasses import dataclass

# What the ids of our leases start with, in `unacked`: other transports renew nothing, and theirs last longer.
LEASE_PREFIX = "lease:"

# How long a message is left to a stock transport's worker: its default visibility timeout.
FOREIGN_LEASE_S = 3600.0


@dataclass(frozen=True, slots=True)
class Names:
    """The keys of one broker, in full."""

    prefix: str
    unacked: str
    index: str
    # Ids by the time they are due (sorted set), and the messages by id (hash). No expiry: mail waits as long as it must.
    delayed: str
    delayed_messages: str
    # A list of JSON objects: a dead letter with the reason of its death. No expiry: an operator decides about them.
    dead: str
    # Which queue hangs on which exchange (sets), `%s` being the exchange.
    bindings: str
    separator: str
    priority_steps: Sequence[int]

    def queue(self, name: str, priority: int = 0) -> str:
        """The list of a queue, for messages of some priority."""
        step = self.priority_steps[max(0, bisect(self.priority_steps, priority) - 1)]
        return f"{self.prefix}{name}{self.separator}{step}" if step else f"{self.prefix}{name}"


def front_of(queue: str) -> str:
    """The list before a queue's list: a waiting consumer moves one message here, which wakes no other consumer."""
    return f"{queue}.front"


@dataclass(frozen=True, slots=True)
class Terms:
    """For how long, and how often, a message is given to a worker."""

    lease_s: float
    most_deliveries: int
