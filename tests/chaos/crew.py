"""The workers of a run: started as an operator does, killed, paused, and replaced at once.

Owns the processes, their names and what befell whom and when; what is to happen is decided by the schedule. Whatever it
started is gone when the `with` ends.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.chaos.judge import Struck
from tests.chaos.side import Side
from tests.support.celery_worker import CeleryWorker


@dataclass
class Hand:
    """One worker process, living or dead."""

    name: str
    worker: CeleryWorker
    killed_at: float | None = None
    paused_at: float | None = None
    pauses: list[tuple[float, float]] = field(default_factory=list)


class Crew:
    """As many workers as there are slots."""

    def __init__(self, side: Side, folder: Path, slots: int) -> None:
        self.hands: list[Hand] = []
        # Workers that ended although nobody had killed them.
        self.deserted: list[str] = []
        # Workers that did not end when they were asked to.
        self.stubborn: list[str] = []
        self._side = side
        self._folder = folder
        self._slots: list[Hand] = []
        self._count = slots

    @property
    def struck(self) -> Sequence[Struck]:
        """All kills and pauses so far."""
        killed = [Struck(hand.name, hand.killed_at) for hand in self.hands if hand.killed_at is not None]
        paused = [Struck(hand.name, at, until) for hand in self.hands for at, until in hand.pauses]
        return [*killed, *paused]

    def kill(self, slot: int) -> None:
        """End a worker as a power cut would, and start another in its place."""
        self.end(slot)
        self._slots[slot] = self._hire(slot)

    def end(self, slot: int) -> Hand:
        """End a worker as a power cut would, and leave its place empty."""
        hand = self._slots[slot]
        hand.killed_at = time.monotonic()
        hand.worker.kill()
        return hand

    def pause(self, slot: int) -> None:
        """Stop a worker's process for a while."""
        hand = self._slots[slot]
        hand.paused_at = time.monotonic()
        hand.worker.send(signal.SIGSTOP)

    def resume(self, slot: int) -> None:
        """Let it go on."""
        hand = self._slots[slot]
        if hand.paused_at is not None:
            hand.worker.send(signal.SIGCONT)
            hand.pauses.append((hand.paused_at, time.monotonic()))
            hand.paused_at = None

    def replace_deserters(self) -> None:
        """See to it that every slot has a living worker."""
        for slot, hand in enumerate(self._slots):
            if not hand.worker.is_running:
                self.deserted.append(hand.name)
                self._slots[slot] = self._hire(slot)

    def wait_until_ready(self) -> None:
        """Return when all workers take messages."""
        for hand in self._slots:
            hand.worker.wait_until_ready()

    def close(self) -> None:
        """End all workers in good order; those that do not end are killed."""
        self._end()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.callback(self._end)
            self._slots = []
            for slot in range(self._count):
                self._slots.append(self._hire(slot))
            self.wait_until_ready()
            stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _hire(self, slot: int) -> Hand:
        name = f"w{slot}-{sum(hand.name.startswith(f'w{slot}-') for hand in self.hands) + 1}"
        hand = Hand(name, self._side.worker(name, self._folder))
        hand.worker.launch()
        self.hands.append(hand)
        return hand

    def _end(self) -> None:
        running = [hand for hand in self._slots if hand.worker.is_running]
        for hand in running:
            hand.worker.send(signal.SIGCONT)
            hand.worker.send(signal.SIGTERM)
        try:
            for hand in running:
                self._see_off(hand)
        finally:
            for hand in running:
                if hand.worker.is_running:
                    hand.worker.kill()

    def _see_off(self, hand: Hand) -> None:
        try:
            hand.worker.wait()
        except AssertionError:
            self.stubborn.append(hand.name)
