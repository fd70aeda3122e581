"""The storm's schedule: what every seed must keep to."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as some

from tests.chaos.schedule import FULL_MAILS, SLOTS, SQUALL_S, Schedule, Strike, outage, quiet, storm

SEEDS = some.integers(0, 10**6)
# What must be over before the same may begin again, and what ends it.
PAIRS = {
    Strike.PAUSE: Strike.RESUME,
    Strike.REDIS_KILL: Strike.REDIS_START,
    Strike.REDIS_STOP: Strike.REDIS_START,
    Strike.REDIS_HANG: Strike.REDIS_WAKE,
}
# What it takes until a new worker takes anything from the dead (its lease), and a round of looking for it.
FIT_TO_REAP_S = 22.0


@given(SEEDS, some.integers(1, 2 * FULL_MAILS))
def test_a_seed_says_it_all(seed: int, mails: int) -> None:
    """The same seed and number give the same schedule, all in order of time, and as many mails as were asked for."""
    schedule = storm(seed, mails)

    assert schedule == storm(seed, mails)
    assert len(schedule.posts) == mails
    assert list(schedule.posts) == sorted(schedule.posts)
    assert list(schedule.events) == sorted(schedule.events)
    assert min(schedule.posts) >= 0


@given(SEEDS)
def test_the_full_storm_is_as_hard_as_promised(seed: int) -> None:
    """More than five thousand mails meet 60 kills, 20 blips, 10 pauses, 5 restarts of both kinds, and 2 hangs."""
    schedule = storm(seed)

    assert schedule.count(Strike.KILL) == 60
    assert schedule.count(Strike.BLIP) == 20
    assert schedule.count(Strike.PAUSE) == schedule.count(Strike.RESUME) == 10
    assert schedule.count(Strike.REDIS_KILL) == 3
    assert schedule.count(Strike.REDIS_STOP) == 2
    assert schedule.count(Strike.REDIS_START) == 5
    assert schedule.count(Strike.REDIS_HANG) == schedule.count(Strike.REDIS_WAKE) == 2


@given(SEEDS)
def test_what_begins_ends_before_it_begins_again(seed: int) -> None:
    """A paused worker is woken and Redis is up again before the next pause or outage, and before the end."""
    for kinds in ({Strike.PAUSE}, {Strike.REDIS_KILL, Strike.REDIS_STOP, Strike.REDIS_HANG}):
        ends = {PAIRS[kind] for kind in kinds}
        row = [event.strike for event in storm(seed).events if event.strike in kinds | ends]
        assert all(
            (before in kinds and after is PAIRS[before]) or (before in ends and after in kinds)
            for before, after in pairwise(row)
        )
        assert row[-1] in ends


@given(SEEDS)
def test_connections_are_cut_of_a_redis_that_is_there(seed: int) -> None:
    """No blip strikes while Redis is away."""
    is_away = False
    for event in storm(seed).events:
        if event.strike in {Strike.REDIS_KILL, Strike.REDIS_STOP, Strike.REDIS_HANG}:
            is_away = True
        elif event.strike in {Strike.REDIS_START, Strike.REDIS_WAKE}:
            is_away = False
        assert not (is_away and event.strike is Strike.BLIP)


@given(SEEDS)
def test_nobody_kills_the_paused(seed: int) -> None:
    """A worker that is paused lives to be woken: that it wakes too late is the point of pausing it."""
    paused: set[int] = set()
    for event in storm(seed).events:
        if event.strike is Strike.PAUSE:
            paused.add(event.slot)
        elif event.strike is Strike.RESUME:
            paused.discard(event.slot)
        elif event.strike is Strike.KILL:
            assert event.slot not in paused


@given(SEEDS)
def test_somebody_is_always_about_to_take_from_the_dead(seed: int) -> None:
    """In each squall one worker is left alone, for long enough to take over what the others held."""
    schedule = storm(seed)
    for begin_s in _squalls(schedule):
        struck = {
            event.slot
            for event in schedule.events
            if event.strike in {Strike.KILL, Strike.PAUSE} and begin_s <= event.at_s < begin_s + SQUALL_S
        }
        assert len(struck) < SLOTS
    assert SQUALL_S > 2 * FIT_TO_REAP_S


@given(SEEDS, some.integers(1, FULL_MAILS))
def test_a_quiet_run_has_no_faults(seed: int, mails: int) -> None:
    """It posts as many mails and does nothing else."""
    schedule = quiet(seed, mails)

    assert schedule.events == ()
    assert len(schedule.posts) == mails


def test_an_outage_lasts_a_minute_and_is_tried_against() -> None:
    """2,000 mails around it, and one each second in it."""
    stop, start = outage(1).events
    posts = outage(1).posts

    assert (stop.strike, start.strike, start.at_s - stop.at_s) == (Strike.REDIS_STOP, Strike.REDIS_START, 60.0)
    assert sum(stop.at_s <= at_s < start.at_s for at_s in posts) == 59
    assert len(posts) == 2059
    assert list(posts) == sorted(posts)


def _squalls(schedule: Schedule) -> list[float]:
    return [event.at_s - 1.5 for event in schedule.events if event.strike is Strike.PAUSE]
