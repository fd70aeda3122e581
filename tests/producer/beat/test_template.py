"""Messages whose texts name the time they are sent for."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from postroom.beat.template import fill, mistakes_in, words_of

WORDS = words_of("weekly", datetime(2027, 1, 3, 7, 5, tzinfo=ZoneInfo("Europe/Berlin")))


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("$date $time", "2027-01-03 07:05"),
        ("$weekday ${day}th", "Sunday 03th"),
        ("$year $month $hour $minute", "2027 01 07 05"),
        # The first Sunday of 2027 belongs to the last week of 2026.
        ("$week of $week_year", "53 of 2026"),
        ("$slot", "2027-01-03T07:05:00+01:00"),
        ("$name costs 5 $$", "weekly costs 5 $"),
    ],
)
def test_words_are_filled(text: str, filled: str) -> None:
    """Each says what the documentation says."""
    assert fill(text, WORDS) == filled


def test_all_texts_are_filled_and_nothing_else() -> None:
    """However deep they lie; names of properties and numbers stay."""
    message = {"To": [{"Address": "$name@example.com"}], "Headers": {"X-$week": "$week"}, "Priority": 1, "Cc": None}

    assert fill(message, WORDS) == {
        "To": [{"Address": "weekly@example.com"}],
        "Headers": {"X-$week": "53"},
        "Priority": 1,
        "Cc": None,
    }


def test_what_cannot_be_filled_is_told_without_the_text() -> None:
    """All of it at once; what else stands in the text is nobody's business."""
    told = list(mistakes_in({"Subject": "secret $when", "Body": ["5 $ secret"]}, {"date": "x", "time": "y"}))

    assert told == [
        "$when is none of $date, $time",
        "a $ stands before no word; write $$ for the character itself",
    ]
