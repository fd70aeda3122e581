"""Slots by the calendar: a crontab line, in a time zone, through the days on which its clocks change.

Owns the rule for those days. Who names hours is due once a day at each of them: a time that the clocks skip is due right
after, and one that they show twice is due the first time. Who is due in every hour follows real time: no slot where the
clocks skip, and one each time where they show it twice. How a line is read is `crontab_line`'s. Nothing here has a clock.
"""

from __future__ import annotations

import calendar
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from typing import Literal

from postroom.beat.crontab_line import NoCrontab, read_line
from postroom.beat.slots import Slot

# Which days count where a line restricts both the day of the month and the day of the week.
Days = Literal["both", "either"]

_EVERY_HOUR = 24
# The 29th of February comes again after eight years at the latest (1896 and 1904, 2096 and 2104); on a given day of the week,
# after forty (across the same gap).
_LONGEST_WAIT = timedelta(days=41 * 366)
# February as in a leap year.
_DAYS_IN_MONTH = {month: calendar.monthrange(2024, month)[1] for month in range(1, 13)}
# Three days of a hundred entries; one that is due each minute takes some 300 kB a day.
_KEPT_DAYS = 300
# Farther from UTC is no place on earth, so a local date has begun and ended everywhere within this.
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Crontab:
    """Minute, hour, day of the month, month and day of the week (0 is Sunday), as Celery has them."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days_of_month: frozenset[int]
    months: frozenset[int]
    days_of_week: frozenset[int]
    days: Days
    zone: tzinfo

    @classmethod
    def read(cls, line: str, zone: tzinfo, days: Days | None) -> Crontab:
        """Read a line.

        Raises:
            NoCrontab: it cannot be read, has no date, or can be read in two ways.
        """
        minutes, hours, days_of_month, months, days_of_week = read_line(line)
        fields = line.split()
        are_both_restricted = not (fields[2].startswith("*") or fields[4].startswith("*"))
        if are_both_restricted and days is None:
            raise NoCrontab(
                "it names days of the month and of the week: cron means either, Celery both; add days = "
                '"either" or days = "both"'
            )
        if days is not None and not are_both_restricted:
            raise NoCrontab('days = "..." is for a line that names days of the month and days of the week')
        if days != "either" and not any(day <= _DAYS_IN_MONTH[month] for month in months for day in days_of_month):
            raise NoCrontab("it never occurs: none of its months has such a day")
        return cls(
            tuple(sorted(minutes)),
            tuple(sorted(hours)),
            days_of_month,
            months,
            days_of_week,
            days or "both",
            zone,
        )

    def between(self, after: datetime, until: datetime) -> Iterator[Slot]:
        """The slots after one point in time and not after another, the earliest first."""
        day, last = (after - _DAY).date(), (until + _DAY).date()
        while day <= last:
            if self._is_on(day):
                slots = _slots_on(self, day)
                begin, end = (bisect_right(slots, moment, key=lambda slot: slot.at) for moment in (after, until))
                yield from slots[begin:end]
            day += _DAY

    def count(self, after: datetime, until: datetime) -> int:
        """How many there are between them."""
        return sum(1 for _ in self.between(after, until))

    def next(self, after: datetime) -> Slot | None:
        """The first slot after a point in time; None where there never is one."""
        return next(self.between(after, after + _LONGEST_WAIT), None)

    def _is_on(self, day: date) -> bool:
        fits = day.day in self.days_of_month, day.isoweekday() % 7 in self.days_of_week
        return day.month in self.months and (any(fits) if self.days == "either" else all(fits))

    def slots_of(self, day: date) -> Iterator[Slot]:
        """The slots of a local day, as its hours come."""
        for hour in self.hours:
            for minute in self.minutes:
                yield from self._slots_at(datetime.combine(day, time(hour, minute)))

    def _slots_at(self, wall: datetime) -> Iterator[Slot]:
        """The slots of one time on the wall clock: none, one or two."""
        label = f"{wall:%Y-%m-%dT%H:%M}"
        shown = _when_shown(wall, self.zone)
        if len(self.hours) < _EVERY_HOUR:
            yield Slot(shown[0] if shown else _end_of_gap(wall, self.zone), label)
            return
        for at, mark in zip(shown, ("", " again"), strict=False):
            yield Slot(at, label + mark)


@lru_cache(maxsize=_KEPT_DAYS)
def _slots_on(crontab: Crontab, day: date) -> tuple[Slot, ...]:
    """The same in order, worked out once and not at each tick."""
    return tuple(sorted(crontab.slots_of(day)))


def _when_shown(wall: datetime, zone: tzinfo) -> list[datetime]:
    """When the clocks of a zone show a time, in UTC: never, once or twice."""
    guesses = sorted({wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)})
    return [at for at in guesses if at.astimezone(zone).replace(tzinfo=None) == wall]


def _end_of_gap(wall: datetime, zone: tzinfo) -> datetime:
    """When the clocks skipped a time, in UTC."""
    # What the clocks would show if they had changed before, and if they had not yet: the change lies between.
    before, after = sorted(wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    offset = before.astimezone(zone).utcoffset()
    while after - before > timedelta(seconds=1):
        middle = before + (after - before) // 2
        if middle.astimezone(zone).utcoffset() == offset:
            before = middle
        else:
            after = middle
    return after.replace(microsecond=0)
