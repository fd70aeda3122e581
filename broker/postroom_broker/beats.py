"""What beats keep in Redis: that they live, and up to when each entry of their schedule is done.

Owns the one call of a tick, which tells the server's time as well: two beats whose clocks differ go by the same one. It knows
entries by their names and nothing of mail. A beat of the producer calls it; `checkup` and `postroom doctor` count the living.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from postroom_broker import keys
from postroom_broker.connection import connect, translated
from postroom_broker.script import Argument, Script

if TYPE_CHECKING:
    import redis

# A beat ticks every second; some may be missed, in a pause of Redis or of its machine.
BEAT_EXPIRY_S = 12
# Far more than the longest time for which a missed slot may be made up for (half a day).
MARK_EXPIRY_S = 30 * 24 * 3600

_TICK = Script("postroom_broker", "tick")


@dataclass(frozen=True, slots=True)
class Tick:
    """What a beat learns at a tick."""

    # By the server's clock, in UTC.
    now: datetime
    # Up to when each entry is done, whoever did it; not there for an entry that is new.
    marks: Mapping[str, datetime]


class Beats:
    """The beats of one broker, as one of them sees them."""

    def __init__(self, url: str, beat: str) -> None:
        """Use a broker; `beat` is a name of its own, which no other beat has."""
        self._client = connect(url)
        self._beat = beat

    def tick(self, marks: Mapping[str, datetime]) -> Tick:
        """Tell that this beat lives and up to when its entries are done.

        Raises:
            BrokerUnavailable: Redis is away; telling it again later is as good.
        """
        told: list[Argument] = [self._beat, BEAT_EXPIRY_S, MARK_EXPIRY_S]
        for entry, mark in marks.items():
            told += [entry, f"{mark.timestamp():.6f}"]
        with translated(self._client):
            answer: Any = _TICK(self._client, [keys.BEATS, keys.BEAT_MARKS], told)
        now, *pairs = [text.decode() for text in answer]
        return Tick(_moment(now), {entry: _moment(mark) for entry, mark in zip(pairs[::2], pairs[1::2], strict=True)})

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


def count_beats(client: redis.Redis, now_s: float) -> int:
    """How many beats live, at the server's time."""
    with translated(client):
        return int(client.zcount(keys.BEATS, now_s - BEAT_EXPIRY_S, "+inf"))


def _moment(seconds: str) -> datetime:
    return datetime.fromtimestamp(float(seconds), UTC)
