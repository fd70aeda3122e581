"""Slots by the calendar: which days and times, and what happens on the days on which the clocks change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom.beat.crontab import Crontab, Days, _slots_on
from postroom.beat.crontab_line import NoCrontab

BERLIN = ZoneInfo("Europe/Berlin")
ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "Pacific/Apia", "UTC")


def of_day(line: str, day: str, zone: str = "Europe/Berlin", days: Days | None = None) -> list[str]:
    """The times of a local day's slots, as the clocks show them, with the offset from UTC."""
    there = ZoneInfo(zone)
    midnight = datetime.fromisoformat(day).replace(tzinfo=there)
    end = (datetime.fromisoformat(day) + timedelta(days=1)).replace(tzinfo=there)
    slots = Crontab.read(line, there, days).between(
        midnight.astimezone(UTC) - timedelta(seconds=1), end.astimezone(UTC) - timedelta(seconds=1)
    )
    return [slot.at.astimezone(there).strftime("%H:%M%z") for slot in slots]


@pytest.mark.parametrize(
    ("line", "day", "expected"),
    [
        ("30 7 * * mon", "2026-03-23", ["07:30+0100"]),
        ("30 7 * * mon", "2026-03-24", []),
        ("0 9,17 1 * *", "2026-04-01", ["09:00+0200", "17:00+0200"]),
        ("*/20 8 * * *", "2026-04-01", ["08:00+0200", "08:20+0200", "08:40+0200"]),
        ("0 6 29 2 *", "2028-02-29", ["06:00+0100"]),
        ("0 6 * * sun", "2026-03-22", ["06:00+0100"]),
    ],
)
def test_a_line_is_read_as_cron_has_it(line: str, day: str, expected: list[str]) -> None:
    """Minute, hour, day of the month, month, day of the week; Sunday is 0, and names are understood."""
    assert of_day(line, day) == expected


@pytest.mark.parametrize(
    ("line", "zone", "day", "expected"),
    [
        # 02:00 to 03:00 is skipped.
        ("30 2 * * *", "Europe/Berlin", "2026-03-29", ["03:00+0200"]),
        ("30 3 * * *", "Europe/Berlin", "2026-03-29", ["03:30+0200"]),
        ("30 2 * * *", "America/New_York", "2026-03-08", ["03:00-0400"]),
        # The clocks go forward by half an hour only: 02:00 to 02:30 is skipped.
        ("15 2 * * *", "Australia/Lord_Howe", "2026-10-04", ["02:30+1100"]),
        ("45 2 * * *", "Australia/Lord_Howe", "2026-10-04", ["02:45+1100"]),
        # Every hour: what the clocks skip is no hour.
        ("30 * * * *", "Europe/Berlin", "2026-03-29", [f"{hour:02d}:30" for hour in range(24) if hour != 2]),
    ],
)
def test_where_the_clocks_go_forward(line: str, zone: str, day: str, expected: list[str]) -> None:
    """A mail for an hour that there is not comes right after; one for every hour comes in each hour that there is."""
    found = of_day(line, day, zone)

    assert [time[: len(expected[0])] for time in found] == expected


@pytest.mark.parametrize(
    ("line", "zone", "day", "expected"),
    [
        # 02:00 to 03:00 comes twice.
        ("30 2 * * *", "Europe/Berlin", "2026-10-25", ["02:30+0200"]),
        ("0 1-3 * * *", "Europe/Berlin", "2026-10-25", ["01:00+0200", "02:00+0200", "03:00+0100"]),
        ("30 1 * * *", "America/New_York", "2026-11-01", ["01:30-0400"]),
        # The clocks go back by half an hour only: 01:30 to 02:00 comes twice.
        ("45 1 * * *", "Australia/Lord_Howe", "2026-04-05", ["01:45+1100"]),
    ],
)
def test_where_the_clocks_go_back(line: str, zone: str, day: str, expected: list[str]) -> None:
    """A mail for an hour that comes twice comes the first time."""
    assert of_day(line, day, zone) == expected


def test_every_hour_is_every_hour_where_the_clocks_go_back() -> None:
    """The day has 25, and none is left out; the two that look alike have labels of their own."""
    found = of_day("0 * * * *", "2026-10-25")
    slots = Crontab.read("0 * * * *", BERLIN, None).between(
        datetime(2026, 10, 24, 23, 59, tzinfo=UTC), datetime(2026, 10, 25, 1, 0, tzinfo=UTC)
    )

    assert len(found) == 25
    assert found[2:4] == ["02:00+0200", "02:00+0100"]
    assert [slot.label for slot in slots] == ["2026-10-25T02:00", "2026-10-25T02:00 again"]


def test_two_times_that_are_skipped_are_two_slots() -> None:
    """Both come right after the gap; neither is lost."""
    assert of_day("0,30 2 * * *", "2026-03-29") == ["03:00+0200", "03:00+0200"]


def test_both_kinds_of_days() -> None:
    """A line that names days of the month and of the week says itself whether both count or either."""
    first_monday = ("0 8 1-7 * mon", "2026-06-01", "2026-06-08", "2026-06-02")

    assert [bool(of_day(first_monday[0], day, days="both")) for day in first_monday[1:]] == [True, False, False]
    assert [bool(of_day(first_monday[0], day, days="either")) for day in first_monday[1:]] == [True, True, True]


@pytest.mark.parametrize(
    ("line", "days", "complaint"),
    [
        ("30 7 * *", None, "it has five fields"),
        ("61 7 * * *", None, "61"),
        ("30 7 * * someday", None, "someday"),
        ("0 0 31 2 *", None, "never occurs"),
        ("0 8 1 * mon", None, "cron means either, Celery both"),
        ("0 8 * * mon", "both", "days of the month and days of the week"),
    ],
)
def test_what_is_no_line(line: str, days: Days | None, complaint: str) -> None:
    """It is refused with what is wrong, and never guessed at."""
    with pytest.raises(NoCrontab, match=complaint):
        Crontab.read(line, BERLIN, days)


def test_the_next_slot_may_be_years_away() -> None:
    """The 29th of February is found, across the year 2100 too, and so is a rare day of the week."""
    leap_day = Crontab.read("0 12 29 2 *", ZoneInfo("UTC"), None)
    after = datetime(2096, 3, 1, tzinfo=UTC)

    monday = Crontab.read("0 12 29 2 mon", ZoneInfo("UTC"), "both")
    found, found_monday = leap_day.next(after), monday.next(datetime(2026, 1, 1, tzinfo=UTC))
    assert found is not None
    assert found_monday is not None
    assert found.at == datetime(2104, 2, 29, 12, tzinfo=UTC)
    assert found_monday.at == datetime(2044, 2, 29, 12, tzinfo=UTC)


def test_a_day_is_worked_out_once() -> None:
    """A beat asks each second; working out the 1440 slots of a day each time would keep a processor busy."""
    crontab = Crontab.read("* * * * *", BERLIN, None)
    now = datetime(2026, 11, 25, 12, 0, 30, tzinfo=UTC)
    _slots_on.cache_clear()
    for second in range(100):
        list(crontab.between(now, now + timedelta(seconds=second)))
        crontab.next(now + timedelta(seconds=second))

    assert _slots_on.cache_info().misses == 3


FIELDS = st.tuples(
    st.sampled_from(["0", "30", "*/15", "5,55"]),
    st.sampled_from(["*", "2", "0-3", "*/6", "1,2,3", "23"]),
    st.sampled_from(["*", "*/2", "1-15"]),
    st.just("*"),
    st.just("*"),
)
# From 2005 to 2035.
MOMENTS = st.integers(1_104_537_600, 2_051_222_400).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
CUTS = st.lists(st.timedeltas(timedelta(0), timedelta(days=3)), max_size=6)


@given(fields=FIELDS, zone=st.sampled_from(ZONES), start=MOMENTS, cuts=CUTS)
def test_however_a_time_is_cut_its_slots_are_the_same(
    fields: tuple[str, ...], zone: str, start: datetime, cuts: list[timedelta]
) -> None:
    """A beat that is stopped and started at any moment sees each slot once, in order, and counts as many as it lists."""
    crontab = Crontab.read(" ".join(fields), ZoneInfo(zone), None)
    end = start + timedelta(days=3)
    whole = list(crontab.between(start, end))
    moments = [start, *sorted(start + cut for cut in cuts), end]
    pieces = [slot for after, until in pairwise(moments) for slot in crontab.between(after, until)]

    assert pieces == whole
    assert [slot.at for slot in whole] == sorted(slot.at for slot in whole)
    assert len({slot.label for slot in whole}) == len(whole) == crontab.count(start, end)
    assert crontab.next(start) == (whole[0] if whole else crontab.next(end))
