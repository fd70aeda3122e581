"""The leases by which this process holds messages: taken by a claim, renewed while it lives, ended by acknowledgement.

Owns the list of them and what is still to be acknowledged, for all channels of the process: a channel comes and goes with
its connection, a mail that is being sent does not. A lease is a token of its own for each delivery, so that who lost a
message cannot acknowledge it for the one who has it now.
"""

from __future__ import annotations

import threading
import uuid

import redis

from postroom_broker.transport.names import LEASE_PREFIX, Names
from postroom_broker.transport.scripts import RENEW

# Acknowledgements wait for the next turn of the event loop, but no more of them than this.
MOST_UNTOLD = 256


class Leases:
    """The leases of one process at one broker. Any thread may call."""

    def __init__(self, client: redis.Redis, names: Names) -> None:
        self._client = client
        self._names = names
        self._lock = threading.Lock()
        self._held: set[str] = set()
        self._ending: set[str] = set()
        self._done: list[str] = []
        self._claims = 0
        self._process = uuid.uuid4().hex[:12]

    def next_prefix(self) -> str:
        """What the ids of the leases of one claim start with; no other claim has the same."""
        self._claims += 1
        return f"{LEASE_PREFIX}{self._process}.{self._claims}."

    def hold(self, lease: str) -> None:
        """Renew this lease from now on."""
        with self._lock:
            self._held.add(lease)

    def forget(self, lease: str) -> None:
        """Renew it no longer: it was ended elsewhere."""
        with self._lock:
            self._held.discard(lease)

    def expect_end(self, lease: str, *, is_over: bool = False) -> None:
        """Note that this lease is being ended elsewhere, or that this is over: should it be gone, nobody took it."""
        with self._lock:
            (self._ending.discard if is_over else self._ending.add)(lease)

    def held(self) -> list[str]:
        """Return all leases that are neither acknowledged nor forgotten."""
        with self._lock:
            return sorted(self._held)

    def holds(self, lease: str) -> bool:
        """Return whether this lease is neither acknowledged nor forgotten."""
        return lease in self._held

    def acknowledge(self, lease: str) -> None:
        """Have the message removed for good, at the next `flush`; one that was let go of is removed already."""
        with self._lock:
            if lease not in self._held:
                return
            self._held.discard(lease)
            self._done.append(lease)
            is_much = len(self._done) >= MOST_UNTOLD
        if is_much:
            self.flush()

    def flush(self) -> None:
        """Tell Redis which messages are done, in one transaction; what could not be told is told the next time."""
        if not self._done:
            return
        with self._lock:
            done, self._done = self._done, []
        try:
            transaction = self._client.pipeline(transaction=True)
            transaction.zrem(self._names.index, *done)
            transaction.hdel(self._names.unacked, *done)
            transaction.execute()
        except BaseException:
            with self._lock:
                self._done = done + self._done
            raise

    def renew(self) -> list[str]:
        """Date all leases anew, in one call, and return those that were taken away meanwhile."""
        with self._lock:
            # One that is done but not told of is renewed too: another worker would send its mail again.
            leases = [*self._held, *self._done]
        if not leases:
            return []
        lost = [lease.decode() for lease in RENEW(self._client, [self._names.index], leases)]
        with self._lock:
            lost = [lease for lease in lost if lease in self._held]
            self._held.difference_update(lost)
            return [lease for lease in lost if lease not in self._ending]
