"""Lengths of time as people write them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from postroom.beat.duration import read_duration


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (0, timedelta(0)),
        (90, timedelta(seconds=90)),
        ("90s", timedelta(seconds=90)),
        ("15m", timedelta(minutes=15)),
        ("2h", timedelta(hours=2)),
        ("1d", timedelta(days=1)),
        ("1w", timedelta(days=7)),
    ],
)
def test_a_length_is_read(written: object, meant: timedelta) -> None:
    """A number is seconds; a text has its unit behind it."""
    assert read_duration(written) == meant


@pytest.mark.parametrize("written", [-1, True, 1.5, "", "15", "15 m", "1.5h", "-1h", "1y", "999999w", 10**12, None, []])
def test_what_is_no_length(written: object) -> None:
    """Nothing is guessed, and nothing is so long that dates cannot be worked out with it."""
    assert read_duration(written) is None
