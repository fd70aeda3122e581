"""What beats keep in Redis: that they live, and marks that only move forward."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from postroom.testing import free_port
from postroom_broker import keys
from postroom_broker.beats import BEAT_EXPIRY_S, MARK_EXPIRY_S, Beats, count_beats
from postroom_contract.errors import BrokerUnavailable
from tests.support.valkey import connect

NOON = datetime(2026, 11, 25, 12, 0, 0, 123456, tzinfo=UTC)


@pytest.fixture
def beats(each_redis_url: str) -> Iterator[Callable[[str], Beats]]:
    """Makes beats at each of the servers that are supported."""
    made: list[Beats] = []

    def make(name: str) -> Beats:
        made.append(Beats(each_redis_url, name))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_marks_are_kept_to_the_microsecond(beats: Callable[[str], Beats]) -> None:
    """A slot must be neither before nor after its own mark by a rounding."""
    beats("one").tick({"weekly": NOON, "daily": NOON - timedelta(days=1)})

    assert beats("two").tick({}).marks == {"weekly": NOON, "daily": NOON - timedelta(days=1)}


def test_a_mark_never_moves_back(beats: Callable[[str], Beats]) -> None:
    """A beat that is late takes nothing from what another has done."""
    beats("one").tick({"weekly": NOON})

    assert beats("two").tick({"weekly": NOON - timedelta(hours=1)}).marks == {"weekly": NOON}


def test_marks_of_entries_that_are_gone_are_forgotten(beats: Callable[[str], Beats], each_redis_url: str) -> None:
    """Names change; what nobody moves while others move goes after a month, and all of it when no beat is left."""
    one = beats("one")
    one.tick({"old": NOON, "new": NOON})
    later = NOON + timedelta(seconds=MARK_EXPIRY_S + 1)

    assert one.tick({"new": later}).marks == {"new": later}
    with connect(each_redis_url) as client:
        assert 0 < client.ttl(keys.BEAT_MARKS) <= MARK_EXPIRY_S


def test_living_beats_are_counted(beats: Callable[[str], Beats], each_redis_url: str) -> None:
    """Each for a while after its last tick, by the server's clock."""
    with connect(each_redis_url) as client:
        beats("one").tick({})
        beats("two").tick({})
        now = beats("two").tick({}).now.timestamp()

        assert count_beats(client, now) == 2
        assert count_beats(client, now + BEAT_EXPIRY_S + 1) == 0
        assert 0 < client.ttl(keys.BEATS) <= BEAT_EXPIRY_S


def test_redis_away_is_told() -> None:
    """As everywhere."""
    one = Beats(f"redis://127.0.0.1:{free_port()}/0", "one")
    with pytest.raises(BrokerUnavailable):
        one.tick({})
    one.close()
