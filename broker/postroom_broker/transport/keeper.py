"""The thread that keeps house for a broker: renews this process's leases, takes those of the dead, promotes what is due.

Owns when each of these is done. It has a connection of its own and outlives every channel. It renews only while the
process shows life, and takes nothing from others until it can know that they had the chance to renew.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

import redis

from postroom_broker.transport.delays import Delays
from postroom_broker.transport.leases import Leases
from postroom_broker.transport.returns import Returns

logger = logging.getLogger(__name__)

# How often it looks for what is due; sooner when it knows that something is.
ROUND_S = 0.5
# The shortest pause: a server full of due messages must find time for other things.
SHORTEST_PAUSE_S = 0.01
# How often it looks for lapsed leases: a dead worker's mail is back within the lease and this.
REAP_EVERY_S = 1.0
# Four chances to renew a lease before it lapses.
RENEWALS_PER_LEASE = 4
# Longer than one slow answer; a process that ends does not wait for more.
STOP_TIMEOUT_S = 2.0


class Keeper:
    """One round after the other, until it is stopped."""

    def __init__(
        self, leases: Leases, returns: Returns, delays: Delays, lease_s: float, is_alive: Callable[[], bool]
    ) -> None:
        self._leases = leases
        self._returns = returns
        self._delays = delays
        self._lease_s = lease_s
        self._is_alive = is_alive
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="postroom-keeper", daemon=True)
        self._server_seen_at = float("-inf")
        self._may_reap_at = float("inf")
        self._renew_at = self._reap_at = float("-inf")
        self._is_away = False
        # When it last began a round, by the monotonic clock: a thread that hangs renews nothing.
        self.turned_at = time.monotonic()

    def start(self) -> None:
        """Keep house from now on."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread, if it was ever started."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(STOP_TIMEOUT_S)

    def _keep(self) -> None:
        pause_s = 0.0
        while not self._stopping.wait(pause_s):
            self.turned_at = time.monotonic()
            try:
                pause_s = self.round()
            except (redis.exceptions.RedisError, OSError) as away:
                pause_s = ROUND_S
                if not self._is_away:
                    logger.warning("Leases cannot be renewed: %s", type(away).__name__)
                self._is_away = True
            except Exception as bug:  # noqa: BLE001 -- without this thread all that is being sent would be sent again
                pause_s = ROUND_S
                logger.critical("%s ended a round of the keeper, which goes on", type(bug).__name__)
            else:
                if self._is_away:
                    logger.info("Leases are renewed again")
                self._is_away = False

    def round(self) -> float:
        """Do what is due now, and return how long (s) to wait until the next round."""
        began_at = time.monotonic()
        if began_at >= self._renew_at and self._is_alive():
            if lost := self._leases.renew():
                logger.warning("%d messages were taken from this process: their leases had lapsed", len(lost))
            self._renew_at = began_at + min(self._lease_s / RENEWALS_PER_LEASE, self._lease_s)
        next_due_s = self._delays.promote()
        self._see_server()
        if began_at >= self._reap_at and time.monotonic() >= self._may_reap_at:
            if count := self._returns.reap(time.monotonic() + self._lease_s / 2):
                logger.warning("%d messages of dead workers are back in their queues", count)
            self._see_server()
            self._reap_at = began_at + min(REAP_EVERY_S, self._lease_s / RENEWALS_PER_LEASE)
        pause_s = min(ROUND_S, self._lease_s / RENEWALS_PER_LEASE / 2)
        return max(SHORTEST_PAUSE_S, pause_s if next_due_s is None else min(pause_s, next_due_s))

    def _see_server(self) -> None:
        # After a start, an outage or a stand-still others had no chance to renew their leases: they get a whole lease
        # time. A shorter gap leaves them one of their four renewals.
        now = time.monotonic()
        if now - self._server_seen_at > self._lease_s / 2:
            self._may_reap_at = now + self._lease_s
        self._server_seen_at = now
