"""Messages that come back without an acknowledgement: handed back, taken from dead workers, or dead themselves.

Owns where they go and how they are marked. Each return is one script that does nothing for a lease that is gone, so that
no message is lost or returned twice, however many processes try. When to return what is decided by those who call.
"""

from __future__ import annotations

import contextlib
import logging
import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import redis

from postroom_broker.death_reasons import DeathReason
from postroom_broker.ledger.record import record_key
from postroom_broker.transport import envelope
from postroom_broker.transport.names import FOREIGN_LEASE_S, LEASE_PREFIX, Names, Terms
from postroom_broker.transport.scripts import LAPSED, PUT_BACK

logger = logging.getLogger(__name__)

# How many messages one call carries: they pass through this process, and one may hold megabytes of attachments.
MOST_PER_CALL = 32
# The keeper that fetches them has leases to renew meanwhile, and gives up what takes it half a lease time.
MOST_BYTES_PER_CALL = 4_000_000


@dataclass(frozen=True, slots=True)
class _Return:
    """One message on its way back."""

    lease: str
    destination: str
    message: str
    # Whose record has to tell it.
    delivery_id: str
    # Of a dead one: why.
    reason: str = ""


class Returns:
    """Puts messages of one broker back."""

    def __init__(self, client: redis.Redis, names: Names, terms: Terms) -> None:
        self._client = client
        self._names = names
        self._terms = terms

    def hand_back(self, leases: Sequence[str], *, in_vain: bool) -> int:
        """Put messages back that this process holds.

        Args:
            leases: by which it holds them.
            in_vain: count their delivery as one that failed; an orderly end of the worker is no failure.

        Returns:
            How many were put back.
        """
        count = 0
        for start in range(0, len(leases), MOST_PER_CALL):
            batch = leases[start : start + MOST_PER_CALL]
            records: list[Any] = self._client.hmget(self._names.unacked, list(batch))
            rows = [(lease, record) for lease, record in zip(batch, records, strict=True) if record]
            count += self._put_back([self._going_back(*row, in_vain=in_vain) for row in rows])
        return count

    def reap(self, deadline: float) -> int:
        """Put messages back whose lease has lapsed.

        Args:
            deadline: by the monotonic clock: a server that answers later than this has stood still, so that nobody could
                renew a lease, and what it calls lapsed may be at work.

        Returns:
            How many were put back.
        """
        count = 0
        while True:
            terms = self._terms.lease_s, FOREIGN_LEASE_S, LEASE_PREFIX, MOST_PER_CALL, MOST_BYTES_PER_CALL
            found = LAPSED(self._client, [self._names.unacked, self._names.index], terms)
            if not found or time.monotonic() > deadline:
                return count
            rows = zip(found[::2], found[1::2], strict=True)
            going = [self._going_back(lease.decode(), record, in_vain=True) for lease, record in rows]
            count += self._put_back(going, idle_s=self._terms.lease_s)

    def bury(self, lease: str, reason: DeathReason) -> None:
        """Put a message that this process holds into the list of dead ones."""
        record: Any = self._client.hget(self._names.unacked, lease)
        if record is not None:
            self._put_back([self._dying(lease, record, reason)])

    def _put_back(self, rows: Iterable[_Return], idle_s: float | None = None) -> int:
        keys, arguments = [self._names.unacked, self._names.index], ["" if idle_s is None else str(idle_s)]
        for row in rows:
            keys += [row.destination, record_key(row.delivery_id)]
            arguments += [row.lease, row.message, row.reason]
        return int(PUT_BACK(self._client, keys, arguments)) if len(keys) > len(("unacked", "index")) else 0

    def _going_back(self, lease: str, record: bytes, *, in_vain: bool) -> _Return:
        try:
            message = envelope.held(record)
            text, deliveries = envelope.redelivered(message.text, in_vain=in_vain)
        except envelope.BROKEN:
            return self._dying(lease, record, DeathReason.UNREADABLE)
        if deliveries >= self._terms.most_deliveries:
            return self._dying(lease, record, DeathReason.TOO_MANY_DELIVERIES, deliveries)
        queue = self._queue_of(message)
        destination = self._names.queue(queue, envelope.priority_of(text))
        return _Return(lease, destination, text, delivery_id=envelope.task_id(text))

    def _dying(self, lease: str, record: bytes, reason: DeathReason, deliveries: int | None = None) -> _Return:
        try:
            message = envelope.held(record)
        except envelope.UnreadableMessage:
            message = envelope.held_at_least(record)
        if deliveries is None:
            deliveries = _deliveries(message.text) + 1
        logger.error("A message is dead (%s, %d deliveries): it is kept in %s", reason, deliveries, self._names.dead)
        queue = self._queue_of(message)
        text = envelope.dead(message.text, reason=reason, deliveries=deliveries, queue=queue)
        return _Return(lease, self._names.dead, text, envelope.task_id(message.text), reason)

    def _queue_of(self, message: envelope.Held) -> str:
        """Where it came from; a message that another transport took names an exchange, and one of its queues is found."""
        if message.exchange:
            bindings: set[Any] = self._client.smembers(f"{self._names.prefix}{self._names.bindings % message.exchange}")
            for binding in sorted(bindings):
                # What is no binding of kombu's binds nothing.
                with contextlib.suppress(ValueError, re.error):
                    routing_key, pattern, queue = binding.decode().split(self._names.separator)
                    if re.fullmatch(pattern, message.routing_key) if pattern else routing_key == message.routing_key:
                        return str(queue)
        return message.routing_key


def _deliveries(text: str) -> int:
    try:
        return envelope.redelivered(text, in_vain=False)[1]
    except envelope.BROKEN:
        return 0
