"""The fields of a crontab line: read as cron has them, and refused where Celery's parser would misread them."""

from __future__ import annotations

from typing import Any

import pytest
from celery.schedules import crontab as celery_crontab
from hypothesis import given
from hypothesis import strategies as st

from postroom.beat.crontab_line import NoCrontab, read_line

WEEKDAY = 4


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("0", {0}),
        ("7", {0}),
        ("sun", {0}),
        ("Sunday", {0}),
        ("5-7", {5, 6, 0}),
        ("0-7", {0, 1, 2, 3, 4, 5, 6}),
        ("fri-sun", {5, 6, 0}),
        ("mon,wed-thu", {1, 3, 4}),
        ("*/2", {0, 2, 4, 6}),
    ],
)
def test_days_of_the_week(field: str, expected: set[int]) -> None:
    """Sunday is 0 and 7, as crontab(5) has it; names are understood, in any case."""
    assert read_line(f"0 0 * * {field}")[WEEKDAY] == expected


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("0 0 * *", "it has five fields"),
        ("@daily", 'write "0 0 \\* \\* \\*" for @daily'),
        ("@reboot", "it has five fields"),
        (
            "61 25 * * monday-",
            "the minute '61' is not within 0 to 59; the hour '25' .*; .*'monday-' cannot be read: write mon",
        ),
        ("0 0 * * mon#1", "the day of the week 'mon#1' cannot be read: write mon, mon-fri, 1-5"),
        ("0 1-5-9 * * *", "the hour '1-5-9' cannot be read"),
        ("0 1-5x * * *", "the hour '1-5x' is no number"),
        ("mon 7 * * *", "the minute 'mon' is no number"),
        ("0 0 mon * *", "the day of the month 'mon' is no number"),
        ("0 0 * mon *", "the month 'mon' is no number and no name such as jan"),
        ("0 0 * * jan", "the day of the week 'jan' is no number and no name such as sun"),
        ("0 0 * * monkey", "the day of the week 'monkey' is no number"),
        ("*/70 * * * *", "write \\*/n or a-b/n, n from 1 to 59"),
        ("*/0 * * * *", "n from 1 to 59"),
        ("5/10 * * * *", "n from 1 to 59"),
        ("60 * * * *", "the minute '60' is not within 0 to 59"),
        ("0 24 * * *", "the hour '24' is not within 0 to 23"),
        ("0 0 0 * *", "the day of the month '0' is not within 1 to 31"),
        ("0 0 * * 8", "the day of the week '8' is not within 0 to 6"),
        ("1,,2 * * * *", "the minute cannot be read"),
        ("-5 * * * *", "the minute '-5' cannot be read"),
        ("0 0 * * ann@example.com", "the day of the week cannot be read"),
    ],
)
def test_what_cannot_be_read_is_refused(line: str, complaint: str) -> None:
    """Never guessed at, and told by the field; what looks like no crontab is not repeated."""
    with pytest.raises(NoCrontab, match=complaint) as caught:
        read_line(line)

    assert "@example" not in str(caught.value)


def _field(least: int, most: int) -> st.SearchStrategy[str]:
    number = st.integers(least, most)
    single = number.map(str)
    span = st.tuples(number, number).map(lambda ends: f"{ends[0]}-{ends[1]}")
    stepped = st.tuples(st.one_of(st.just("*"), span), st.integers(1, most)).map(lambda both: f"{both[0]}/{both[1]}")
    return st.lists(st.one_of(st.just("*"), single, span, stepped), min_size=1, max_size=3).map(",".join)


@given(st.tuples(_field(0, 59), _field(0, 23), _field(1, 31), _field(1, 12), _field(0, 6)))
def test_what_is_read_is_what_celery_reads(fields: tuple[str, str, str, str, str]) -> None:
    """Whoever moves an entry here from Celery's own schedule keeps its times."""
    minute, hour, day, month, weekday = fields
    try:
        celerys: Any = celery_crontab(minute, hour, weekday, day, month)
    except ValueError:  # a day that none of its months has: `crontab` refuses it
        return

    read = (celerys.minute, celerys.hour, celerys.day_of_month, celerys.month_of_year, celerys.day_of_week)
    assert read_line(" ".join(fields)) == read
