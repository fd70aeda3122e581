"""Slots at an interval: aligned to 1970, the same wherever they are worked out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom.beat.slots import EPOCH, Interval, Slot

MOMENTS = st.floats(0, 7e9).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))


def at(text: str) -> datetime:
    """A time of 2026-03-29 in UTC."""
    return datetime.fromisoformat(f"2026-03-29T{text}+00:00")


def test_slots_are_aligned_to_the_epoch() -> None:
    """It does not matter when anybody began to count."""
    slots = list(Interval(900).between(at("07:10"), at("07:45")))

    assert [slot.at for slot in slots] == [at("07:15"), at("07:30"), at("07:45")]
    assert slots[0].label == "2026-03-29T07:15:00Z"


def test_the_end_belongs_to_it_and_the_beginning_does_not() -> None:
    """Two pieces that meet have each slot once."""
    interval = Interval(60)

    assert [slot.at for slot in interval.between(at("07:00"), at("07:01"))] == [at("07:01")]
    assert list(interval.between(at("07:01"), at("07:01"))) == []


@pytest.mark.parametrize(
    ("after", "first"), [("07:00:00", "07:15:00"), ("07:14:59", "07:15:00"), ("07:15:00", "07:30:00")]
)
def test_the_next_slot(after: str, first: str) -> None:
    """It lies after the time, never at it."""
    assert Interval(900).next(at(after)).at == at(first)


@given(seconds=st.integers(1, 10_000_000), after=MOMENTS, length=st.timedeltas(timedelta(0), timedelta(days=2)))
def test_counting_and_listing_agree(seconds: int, after: datetime, length: timedelta) -> None:
    """And every slot lies on the grid, in order, each with a label of its own."""
    interval = Interval(max(seconds, int(length.total_seconds()) // 100 + 1))
    slots: list[Slot] = list(interval.between(after, after + length))

    assert len(slots) == interval.count(after, after + length)
    assert all((slot.at - EPOCH) % timedelta(seconds=interval.seconds) == timedelta(0) for slot in slots)
    assert slots == sorted(slots)
    assert len({slot.label for slot in slots}) == len(slots)
