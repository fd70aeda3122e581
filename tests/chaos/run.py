"""One storm: mails are posted and faults strike, each at its time; afterwards, the judge."""

from __future__ import annotations

import time
from functools import partial

from tests.chaos.faults import Faults
from tests.chaos.postbag import Postbag
from tests.chaos.report import Figures
from tests.chaos.schedule import Schedule, Strike
from tests.chaos.stage import SETTLE_S, Stage
from tests.support.waiting import wait_until

PROGRESS_EVERY_S = 15.0


def run(schedule: Schedule, stage: Stage) -> Figures:
    """Run the schedule on a stage that is up, and return the figures."""
    faults = Faults(stage.crew, stage.redis)
    with faults, Postbag(stage.side, schedule.seed, schedule.posts) as bag:
        _weather(schedule, stage, faults, bag)
        stage.say("all is posted and the storm is over; waiting for the rest")
        told = stage.settle(bag)
    return {
        "mails": len(schedule.posts),
        "kills": faults.done[Strike.KILL],
        "blips": faults.done[Strike.BLIP],
        "connections_cut": faults.connections_cut,
        "restarts": faults.done[Strike.REDIS_START],
        "restarts_by_kill": faults.done[Strike.REDIS_KILL],
        "hangs": faults.done[Strike.REDIS_WAKE],
        "pauses": faults.done[Strike.RESUME],
        **stage.figures(bag, told, faults.outages),
    }


def _weather(schedule: Schedule, stage: Stage, faults: Faults, bag: Postbag) -> None:
    progress = _Progress(stage, bag)
    began_at = time.monotonic()
    longest_s = schedule.ends_at_s + SETTLE_S
    bag.start(began_at)

    def is_due(at_s: float) -> bool:
        progress.tell()
        return time.monotonic() >= began_at + at_s

    for event in schedule.events:
        wait_until(partial(is_due, event.at_s), longest_s, "the time of the next fault")
        stage.crew.replace_deserters()
        faults.strike(event)
    wait_until(lambda: is_due(0) and not bag.is_running, longest_s, "the mails to be posted")
    stage.crew.replace_deserters()
    bag.join()


class _Progress:
    """One line from time to time."""

    def __init__(self, stage: Stage, bag: Postbag) -> None:
        self._stage, self._bag = stage, bag
        self._next_at = self._began_at = time.monotonic()

    def tell(self) -> None:
        """Say how far it has got, if it is time."""
        if time.monotonic() < self._next_at:
            return
        self._next_at = time.monotonic() + PROGRESS_EVERY_S
        accepted = len({each.mail for each in self._stage.office.journal.read().accepted})
        self._stage.say(
            f"{time.monotonic() - self._began_at:5.0f} s: {len(self._bag.posted)} posted, {accepted} accepted, "
            f"{len(self._stage.crew.hands)} workers so far"
        )
