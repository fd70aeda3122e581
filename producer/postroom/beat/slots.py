"""When a recurring mail is due: its slots, and those of an entry that recurs at an interval.

Owns what a slot is, and that its label is the same wherever it is worked out: a delivery's id is made of it. Nothing here
has a clock. Slots by the calendar are `crontab`'s.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

EPOCH = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True, order=True)
class Slot:
    """One time at which an entry is due."""

    # In UTC.
    at: datetime
    # What tells it from all others of its entry, the same on every machine.
    label: str


class Rhythm(Protocol):
    """How an entry recurs."""

    def between(self, after: datetime, until: datetime) -> Iterator[Slot]:
        """The slots after one point in time and not after another, the earliest first."""

    def count(self, after: datetime, until: datetime) -> int:
        """How many there are between them."""

    def next(self, after: datetime) -> Slot | None:
        """The first slot after a point in time; None where there never is one."""


@dataclass(frozen=True, slots=True)
class Interval:
    """Every so many seconds, counted from 1970-01-01T00:00Z, so that it does not matter when anybody began to count."""

    seconds: int

    def between(self, after: datetime, until: datetime) -> Iterator[Slot]:
        """The slots after one point in time and not after another, the earliest first."""
        for number in range(self._number(after) + 1, self._number(until) + 1):
            yield self._slot(number)

    def count(self, after: datetime, until: datetime) -> int:
        """How many there are between them."""
        return max(0, self._number(until) - self._number(after))

    def next(self, after: datetime) -> Slot:
        """The first slot after a point in time."""
        return self._slot(self._number(after) + 1)

    def _number(self, at: datetime) -> int:
        """How many slots there have been since 1970."""
        return (at - EPOCH) // timedelta(seconds=self.seconds)

    def _slot(self, number: int) -> Slot:
        at = EPOCH + timedelta(seconds=number * self.seconds)
        return Slot(at, f"{at:%Y-%m-%dT%H:%M:%SZ}")
