"""How long one attempt took, and what the time went to.

Owns the sums of what the queue and the SMTP sessions have measured for one attempt. The delivery fills it in, the task hands
it to `events`; nothing is decided by it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Lap(StrEnum):
    """What an attempt consists of, in its order; one that fails early leaves some out."""

    CLAIM = "claim"  # asking the ledger for the delivery
    COMPOSE = "compose"  # opening the sealed message, reading attachments, composing
    SMTP = "smtp"  # waiting for a session, opening one, and the transactions
    SETTLE = "settle"  # writing down what came of it


@dataclass(slots=True)
class Timesheet:
    """The times of one attempt, from the moment it is made."""

    # Between the moment when it could have been sent and this attempt; None where nobody noted it.
    waited_s: float | None = None
    # By step of SMTP; of several transactions together.
    smtp_s: dict[str, float] = field(default_factory=dict)
    # By lap: they follow each other without a gap.
    laps_s: dict[str, float] = field(default_factory=dict)
    _began_at: float = field(default_factory=time.monotonic)
    _lap_began_at: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """How long the attempt has been going on."""
        return time.monotonic() - self._began_at

    def lap(self, lap: Lap) -> None:
        """Put the time since the last lap down to this one."""
        now = time.monotonic()
        self.laps_s[lap.value] = now - self._lap_began_at
        self._lap_began_at = now

    def add(self, smtp_s: Mapping[str, float]) -> None:
        """Add what one transaction took."""
        for step, seconds in smtp_s.items():
            self.smtp_s[step] = self.smtp_s.get(step, 0.0) + seconds
