"""The examples on their way: handed to the mailer, then watched until their outcomes are known.

Owns the sending through the public `Mailer` and the waiting, with a word whenever something happens. Judging what came
of it is `row`'s business.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

from postroom.cli.output import story
from postroom.demo.examples import Example
from postroom.demo.stage import Stage
from postroom.local.child import Child
from postroom.local.interruption import Interruption
from postroom.mailer import Mailer
from postroom.receipt import Receipt
from postroom_contract.errors import PostroomError
from postroom_contract.outcome import State

# Twice what the slowest example takes: the closed port is tried five times over some fifteen seconds.
OUTCOME_TIMEOUT_S = 45.0
# How long the demo is silent at most.
REMIND_S = 4.0

Say = Callable[[str], None]


class Parcel:
    """One example on its way."""

    def __init__(self, example: Example) -> None:
        self.example = example
        self.receipt: Receipt | None = None
        self.told: dict[str, Any] | None = None
        """The outcome, once it is known, in the shape that `postroom status` prints."""
        self.seconds = 0.0
        self._handed_over_at = 0.0

    def send(self, mailer: Mailer, stage: Stage) -> None:
        """Queue it; a refusal is an outcome too."""
        session = stage.session_for(self.example)
        self._handed_over_at = time.monotonic()
        try:
            self.receipt = mailer.send(self.example.message, session)
        except PostroomError as refused:
            self._settle(story(State.REFUSED, None, error=refused))

    def look(self) -> bool:
        """Tell whether its outcome is known by now."""
        if self.told is None and self.receipt is not None:
            try:
                self._settle(self.receipt.outcome(timeout=0).as_dict())
            except TimeoutError:
                return False
        return True

    def give_up(self) -> None:
        """Take the state that it is in for the outcome."""
        if self.told is None and self.receipt is not None:
            self._settle(story(self.receipt.state(), self.receipt.id))

    def _settle(self, told: dict[str, Any]) -> None:
        self.seconds = time.monotonic() - self._handed_over_at
        self.told = told


def hand_over(examples: Sequence[Example], stage: Stage, mailer: Mailer) -> list[Parcel]:
    """Queue all examples at once, those first that take longest; the parcels come back in the examples' order."""
    parcels = [Parcel(example) for example in examples]
    for parcel in sorted(parcels, key=lambda parcel: -parcel.example.expected.attempts):
        parcel.send(mailer, stage)
    return parcels


def collect(parcels: Sequence[Parcel], worker: Child, interruption: Interruption, say: Say) -> None:
    """Wait for all outcomes.

    Raises:
        ChildFailed: the worker has ended.
        SystemExit: somebody interrupted it.
    """
    deadline = time.monotonic() + OUTCOME_TIMEOUT_S
    spoke_at = time.monotonic()
    waiting = list(parcels)
    while waiting and time.monotonic() < deadline:
        known = [parcel for parcel in waiting if parcel.look()]
        waiting = [parcel for parcel in waiting if parcel not in known]
        for parcel in known:
            say(f"  {parcel.seconds:5.2f} s  {parcel.example.name}: {parcel.told and parcel.told['state']}")
        if not known and waiting and time.monotonic() - spoke_at > REMIND_S:
            say(f"  still waiting for: {'; '.join(map(_progress, waiting))}")
            spoke_at = time.monotonic()
        spoke_at = time.monotonic() if known else spoke_at
        worker.check()
        interruption.pause()
    for parcel in waiting:
        parcel.give_up()


def _progress(parcel: Parcel) -> str:
    return parcel.example.name + (f" ({parcel.receipt.state()})" if parcel.receipt else "")
