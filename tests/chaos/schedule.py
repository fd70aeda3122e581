"""What happens when: the mails' times and the faults' times, as a pure function of the seed and the number of mails.

Owns the shape of the storm and nothing that acts: `faults` strikes, `postbag` posts. The same schedule is run against
Postroom and against a stock worker, so nothing here may depend on what is tested.

A storm is a row of squalls. In each, one worker is paused past its lease, one is killed again and again, both are killed
when the pause is over, and one is spared: a worker takes nothing from the dead before it has lived for one lease itself,
and with nobody spared for longer than that no mail of a dead worker would ever come back.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from enum import StrEnum
from random import Random

# Three, so that one can be paused and one killed while one is left.
SLOTS = 3
# Some of them are refused while Redis is away; 5,000 receipts are left.
FULL_MAILS = 5400

MAILS_PER_SQUALL = 500
# Ten squalls make the full storm: 60 kills, 20 blips, 10 pauses, 5 restarts and 2 hangs of Redis in eight minutes.
MOST_SQUALLS = 10
SQUALL_S = 48.0
# Workers are up by then, and the first mails are on their way.
CALM_BEFORE_S = 2.0

# The lease is 20 s, and lapsed ones are looked for every second: a worker paused for longer has lost its mail.
PAUSE_S = (22.0, 26.0)
DOWN_S = (0.5, 5.0)
SHORT_HANG_S = (4.0, 8.0)
# Longer than the lease: no worker can renew meanwhile, and by the server's clock all leases have lapsed at its end.
LONG_HANG_S = (21.0, 23.0)

# In each squall; and how long a server that was started again may take until its connections can be cut.
BLIPS = 2
BACK_WITHIN_S = 3.0

# Nine mails of ten are posted around a fault, so that it strikes while mail is in flight and while mail is handed over.
SHARE_IN_BURSTS = 0.9
BURST_S = (-0.6, 0.2)

# Without faults: what three workers send in a second, and a little less.
QUIET_MAILS_PER_S = 60.0

# Handed over faster than three workers send, so that many wait and some are being sent when Redis goes.
OUTAGE_MAILS, OUTAGE_POSTED_S = 2000, 5.0
OUTAGE_AT_S, OUTAGE_S = 8.0, 60.0


class Strike(StrEnum):
    """What is done, at one moment, to workers and Redis."""

    KILL = "kill"
    PAUSE = "pause"
    RESUME = "resume"
    BLIP = "blip"
    REDIS_KILL = "redis_kill"
    REDIS_STOP = "redis_stop"
    REDIS_START = "redis_start"
    REDIS_HANG = "redis_hang"
    REDIS_WAKE = "redis_wake"


# Those that only end what another began.
ENDS = {Strike.RESUME, Strike.REDIS_START, Strike.REDIS_WAKE}


@dataclass(frozen=True, order=True)
class Event:
    """One strike: `slot` names the worker, `every` which connections a blip cuts (1: all, 2: every second one)."""

    at_s: float
    strike: Strike
    slot: int = 0
    every: int = 1


@dataclass(frozen=True)
class Schedule:
    """A whole run; all times are seconds from its start, in order."""

    seed: int
    posts: tuple[float, ...]
    events: tuple[Event, ...]

    @property
    def ends_at_s(self) -> float:
        """When the last mail is posted and the last fault is over."""
        return max([*self.posts[-1:], *(event.at_s for event in self.events[-1:])], default=0.0)

    def count(self, *strikes: Strike) -> int:
        """How many strikes of these kinds there are."""
        return sum(event.strike in strikes for event in self.events)


# Which trouble Redis has, squall by squall.
_REDIS_TROUBLES: tuple[tuple[Strike, Strike, tuple[float, float]] | None, ...] = (
    (Strike.REDIS_KILL, Strike.REDIS_START, DOWN_S),
    (Strike.REDIS_STOP, Strike.REDIS_START, DOWN_S),
    (Strike.REDIS_HANG, Strike.REDIS_WAKE, SHORT_HANG_S),
    (Strike.REDIS_KILL, Strike.REDIS_START, DOWN_S),
    None,
    (Strike.REDIS_STOP, Strike.REDIS_START, DOWN_S),
    None,
    (Strike.REDIS_HANG, Strike.REDIS_WAKE, LONG_HANG_S),
    None,
    (Strike.REDIS_KILL, Strike.REDIS_START, DOWN_S),
)


def storm(seed: int, mails: int = FULL_MAILS) -> Schedule:
    """The schedule of a run with faults; a smaller number of mails makes it shorter, not milder."""
    chance = Random(f"{seed}/storm")  # noqa: S311 -- a schedule, not a secret
    squalls = min(MOST_SQUALLS, max(1, round(mails / MAILS_PER_SQUALL)))
    events: list[Event] = []
    spared = SLOTS
    for number in range(squalls):
        spared = chance.choice([slot for slot in range(SLOTS) if slot != spared])
        events += _squall(chance, CALM_BEFORE_S + number * SQUALL_S, spared, _REDIS_TROUBLES[number])
    events.sort()
    return Schedule(seed, _posts(chance, events, mails), tuple(events))


def quiet(seed: int, mails: int = FULL_MAILS) -> Schedule:
    """The schedule of a run without faults."""
    return Schedule(seed, tuple(number / QUIET_MAILS_PER_S for number in range(mails)), ())


def outage(seed: int) -> Schedule:
    """Redis stopped for a minute while a thousand mails are being sent; one is tried each second meanwhile, the rest later."""
    back_at_s = OUTAGE_AT_S + OUTAGE_S
    half = [number * OUTAGE_POSTED_S / (OUTAGE_MAILS // 2) for number in range(OUTAGE_MAILS // 2)]
    tries = [OUTAGE_AT_S + second for second in range(1, int(OUTAGE_S))]
    posts = (*half, *tries, *(back_at_s + 1.0 + at_s for at_s in half))
    return Schedule(seed, posts, (Event(OUTAGE_AT_S, Strike.REDIS_STOP), Event(back_at_s, Strike.REDIS_START)))


def _squall(
    chance: Random, begin_s: float, spared: int, trouble: tuple[Strike, Strike, tuple[float, float]] | None
) -> list[Event]:
    paused, victim = chance.sample([slot for slot in range(SLOTS) if slot != spared], 2)
    half_s = SQUALL_S / 2
    pause_at_s = begin_s + chance.uniform(0.5, 1.5)
    resume_at_s = pause_at_s + chance.uniform(*PAUSE_S)
    events = [Event(pause_at_s, Strike.PAUSE, paused), Event(resume_at_s, Strike.RESUME, paused)]
    for offset_s in (4.0, 11.0, 18.0):
        events += [Event(begin_s + offset_s + chance.uniform(-1.5, 1.5), Strike.KILL, victim)]
    # The worker that was paused gets some seconds to make its mistakes.
    for offset_s in (8.0, 14.0, 20.0):
        at_s = begin_s + half_s + offset_s + chance.uniform(-1.5, 1.5)
        events += [Event(at_s, Strike.KILL, chance.choice((paused, victim)))]
    gone_s = back_s = begin_s
    if trouble is not None:
        begins, ends, lasting_s = trouble
        lasts_s = chance.uniform(*lasting_s)
        # All is over before the next squall brings the next trouble.
        gone_s = min(begin_s + half_s + chance.uniform(0.2, 12.0), begin_s + SQUALL_S - lasts_s)
        back_s = gone_s + lasts_s
        events += [Event(gone_s, begins), Event(back_s, ends)]
    # Cut connections are those of a Redis that is there.
    moments = [begin_s + chance.uniform(2.5, half_s - 1.0) for _ in range(BLIPS)]
    moments += [begin_s + chance.uniform(half_s, SQUALL_S) for _ in range(BLIPS)]
    at_peace = [at_s for at_s in moments if not gone_s - 1.0 < at_s < back_s + BACK_WITHIN_S]
    events += [Event(at_s, Strike.BLIP, every=chance.choice((1, 2))) for at_s in chance.sample(at_peace, BLIPS)]
    return events


def _posts(chance: Random, events: list[Event], mails: int) -> tuple[float, ...]:
    strikes = [event.at_s for event in events if event.strike not in ENDS]
    last_s = events[-1].at_s
    in_bursts = int(mails * SHARE_IN_BURSTS)
    targets = itertools.islice(itertools.cycle(strikes), in_bursts)
    posts = [max(0.0, at_s + chance.uniform(*BURST_S)) for at_s in targets]
    posts += [chance.uniform(0.0, last_s) for _ in range(mails - in_bursts)]
    return tuple(sorted(posts))
