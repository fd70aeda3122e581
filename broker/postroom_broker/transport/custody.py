"""All that this process holds of one broker, beyond the life of any connection: leases, returns, delays, their keeper.

Owns that there is one of each per process and broker, also after a fork, and that whatever is still held when the process
ends in good order is handed back at once. Channels ask for it; nobody else.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator

import redis

from postroom_broker.transport.delays import Delays
from postroom_broker.transport.keeper import Keeper
from postroom_broker.transport.leases import Leases
from postroom_broker.transport.names import Names, Terms
from postroom_broker.transport.returns import Returns

logger = logging.getLogger(__name__)


class _Life:
    """Whether this process works on what it holds; a program that never says so is taken to be alive."""

    def __init__(self) -> None:
        self.sign: Callable[[], bool] = lambda: True
        self.work: Callable[[], Collection[str]] | None = None


_life = _Life()


def renew_only_while(is_alive: Callable[[], bool]) -> None:
    """Renew leases and claim messages only while `is_alive()`: a process that hangs must lose what it holds."""
    _life.sign = is_alive


def work_is(leases: Callable[[], Collection[str]]) -> None:
    """Know by `leases()` which messages this process works at; of others it may have lost track."""
    _life.work = leases


def shows_life() -> bool:
    """Whether the process works, as far as it knows of itself."""
    return _life.sign()


class Custody:
    """What one process holds of one broker."""

    def __init__(self, client: redis.Redis, names: Names, terms: Terms) -> None:
        self.client = client
        self.names = names
        self.leases = Leases(client, names)
        self.returns = Returns(client, names, terms)
        self.delays = Delays(client, names)
        self._keeper = Keeper(self.leases, self.returns, self.delays, terms.lease_s, shows_life)
        self._is_kept = False
        self._pid = os.getpid()

    def keep(self) -> None:
        """Start the keeper, for this process is about to hold something. Asking again does nothing."""
        if not self._is_kept:
            self._is_kept = True
            self._keeper.start()
            atexit.register(self.end)

    @property
    def standstill_s(self) -> float:
        """Since when the keeper has not begun a round; 0 where it was never started. Redis being away is no standstill."""
        return time.monotonic() - self._keeper.turned_at if self._is_kept else 0.0

    def hand_back(self, leases: list[str]) -> None:
        """Tell what is done, and put back the rest of these; a broker that is away gets them when they lapse."""
        try:
            self.leases.flush()
            still_held = [lease for lease in leases if self.leases.holds(lease)]
            if count := self.returns.hand_back(still_held, in_vain=False):
                logger.info("Back in its queue, because it was not finished: %d", count)
        except (redis.exceptions.RedisError, OSError) as away:
            logger.warning("The broker is away (%s): messages come back when their leases lapse", type(away).__name__)
        for lease in leases:
            self.leases.forget(lease)

    def forget_unworked(self, leases: Iterable[str]) -> None:
        """Let those of these leases lapse that nobody works at, once a connection broke.

        Celery forgets then what it had not begun, and counts on the broker to give it out again.
        """
        if _life.work is None:
            return
        at_work = set(_life.work())
        for lease in leases:
            if lease not in at_work:
                self.leases.forget(lease)

    def end(self) -> None:
        """Stop keeping, and hand back all that is held: the process ends."""
        if os.getpid() != self._pid:
            return  # a child's copy: what it names is its parent's
        self._keeper.stop()
        self.hand_back(self.leases.held())
        with contextlib.suppress(redis.exceptions.RedisError, OSError):
            self.client.close()


_custodies: dict[Hashable, Custody] = {}
_lock = threading.Lock()


def keepers_stand_still_s() -> float:
    """Since when one of this process's keepers renews nothing."""
    return max([custody.standstill_s for custody in list(_custodies.values())], default=0.0)


def custody_of(broker: Hashable, make: Callable[[], Custody]) -> Custody:
    """The one custody of this process for a broker."""
    with _lock:
        if broker not in _custodies:
            _custodies[broker] = make()
        return _custodies[broker]


def hand_back(lease: str) -> None:
    """Put a message that this process holds back into its queue, at once; nothing happens for one that it does not hold."""
    for custody in list(_custodies.values()):
        if custody.leases.holds(lease):
            custody.hand_back([lease])


def let_go(lease: str) -> None:
    """Note that a lease was ended elsewhere, together with its message."""
    for custody in list(_custodies.values()):
        custody.leases.forget(lease)


@contextlib.contextmanager
def letting_go(lease: str) -> Iterator[None]:
    """Within this block the lease may end at any moment: it is still renewed, but its end is no news."""
    custodies = list(_custodies.values())
    for custody in custodies:
        custody.leases.expect_end(lease)
    try:
        yield
    finally:
        for custody in custodies:
            custody.leases.expect_end(lease, is_over=True)


def _forget_parents() -> None:
    global _lock  # noqa: PLW0603 -- it may have been locked when the process was forked
    _lock = threading.Lock()
    _custodies.clear()


os.register_at_fork(after_in_child=_forget_parents)
