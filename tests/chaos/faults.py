"""The hand that strikes: does to workers and Redis what an event of the schedule says.

Owns the doing; when and to whom is the schedule's business.
"""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Self

from tests.chaos.crew import Crew
from tests.chaos.schedule import Event, Strike
from tests.support.valkey import ValkeyServer, connect


class Faults:
    """Strikes one crew and one Redis."""

    def __init__(self, crew: Crew, redis: ValkeyServer) -> None:
        self.done: Counter[Strike] = Counter()
        self.connections_cut = 0
        # From when to when Redis was away, by the monotonic clock.
        self.outages: list[tuple[float, float]] = []
        self._away_since = 0.0
        self._redis = redis
        self._is_hung = False
        self._hands: dict[Strike, Callable[[Event], None]] = {
            Strike.KILL: lambda event: crew.kill(event.slot),
            Strike.PAUSE: lambda event: crew.pause(event.slot),
            Strike.RESUME: lambda event: crew.resume(event.slot),
            Strike.BLIP: lambda event: self._cut(event.every),
            Strike.REDIS_KILL: lambda _: redis.kill(),
            Strike.REDIS_STOP: lambda _: redis.stop(),
            Strike.REDIS_START: lambda _: redis.start(),
            Strike.REDIS_HANG: lambda _: os.kill(redis.pid, signal.SIGSTOP),
            Strike.REDIS_WAKE: lambda _: os.kill(redis.pid, signal.SIGCONT),
        }

    def strike(self, event: Event) -> None:
        """Do one thing."""
        if event.strike in {Strike.REDIS_KILL, Strike.REDIS_STOP, Strike.REDIS_HANG}:
            self._away_since = time.monotonic()
        self._hands[event.strike](event)
        if event.strike in {Strike.REDIS_START, Strike.REDIS_WAKE}:
            self.outages.append((self._away_since, time.monotonic()))
        if event.strike in {Strike.REDIS_HANG, Strike.REDIS_WAKE}:
            self._is_hung = event.strike is Strike.REDIS_HANG
        self.done[event.strike] += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End what an interrupted run left hanging, so that everything can be stopped."""
        if self._is_hung:
            self._hands[Strike.REDIS_WAKE](Event(0, Strike.REDIS_WAKE))

    def _cut(self, every: int) -> None:
        """Cut connections of workers and producers alike: a network does not know who is who."""
        with connect(self._redis.url) as client:
            mine = client.client_id()
            others = sorted(int(row["id"]) for row in client.client_list() if int(row["id"]) != mine)
            for number in others[::every]:
                # It may have gone by itself meanwhile; then nothing is cut.
                self.connections_cut += int(client.client_kill_filter(_id=str(number)))
