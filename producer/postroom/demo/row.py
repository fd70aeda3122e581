"""One row of the demo: what was asked, what was expected, what arrived, what the outcome says, and whether all agree.

Owns the judgement of a single example and the report over all of them. It is plain data and asks no server; `show`
collects what goes in, `table` makes it readable.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from postroom.demo.arrival import Copy, differences
from postroom.demo.examples import Example, Place
from postroom_contract.error_codes import CATEGORIES
from postroom_contract.message import EmailMessage
from postroom_contract.outcome import State


@dataclass(frozen=True)
class Row:
    """What came of one example."""

    example: Example
    told: dict[str, Any]
    """The outcome, in the shape that `postroom status` prints."""
    copies: Sequence[Copy]
    """What servers have of it, wherever."""
    seconds: float
    """From the call of `send` until the outcome was known."""

    @property
    def mistakes(self) -> list[str]:
        """Every way in which it did not come out as expected."""
        return [*self._mistakes_of_outcome(), *self._mistakes_of_arrival()]

    def as_dict(self) -> dict[str, Any]:
        """The row as JSON."""
        expected = self.example.expected
        return {
            "asked": self.example.name,
            "place": self.example.place.value,
            "use_ssl": self.example.use_ssl,
            "expected": {
                "state": expected.state.value,
                "type": expected.error and expected.error.__name__,
                "error_code": expected.code and int(expected.code),
                "attempts": expected.attempts,
            },
            "outcome": self.told,
            "arrived": [copy.as_dict() for copy in self.copies],
            "seconds": round(self.seconds, 3),
            "mistakes": self.mistakes,
        }

    def _mistakes_of_outcome(self) -> list[str]:
        expected = self.example.expected
        error = self.told["error"] or {"type": None, "error_code": None, "category": None}
        compared = {
            "state": (self.told["state"], expected.state.value),
            "error type": (error["type"], expected.error and expected.error.__name__),
            "error code": (error["error_code"], expected.code and int(expected.code)),
            "error category": (error["category"], expected.code and CATEGORIES.get(expected.code)),
            "attempts": (self.told["attempts"], expected.attempts),
        }
        return [f"{what}: {told} instead of {wanted}" for what, (told, wanted) in compared.items() if told != wanted]

    def _mistakes_of_arrival(self) -> list[str]:
        wanted = 1 if self.example.expected.state is State.SENT else 0
        if len(self.copies) != wanted:
            return [f"the servers have {len(self.copies)} copies instead of {wanted}"]
        if not wanted:
            return []
        (copy,) = self.copies
        asked = EmailMessage.accept(self.example.message)
        elsewhere = [] if copy.place is self.example.place else [f"it arrived at the {copy.place}"]
        accepted = (
            [] if sorted(self.told["accepted"]) == sorted(asked.recipients) else ["the outcome names other recipients"]
        )
        return [*elsewhere, *accepted, *differences(copy, asked)]


@dataclass(frozen=True)
class ServerSummary:
    """How much one server had to do."""

    place: Place
    port: int
    messages: int
    connections: int
    """Those that carried messages: probes and failed logins are not among them."""
    logins: int
    refused_logins: int
    quits: int
    """How many of the connections ended with QUIT, when the worker was told to stop."""

    def as_dict(self) -> dict[str, Any]:
        """The summary as JSON."""
        return {**vars(self), "place": self.place.value}


@dataclass(frozen=True)
class Report:
    """The whole demo."""

    rows: Sequence[Row]
    servers: Sequence[ServerSummary]
    seconds: float

    @property
    def mistakes(self) -> list[str]:
        """What did not come out as expected, row by row."""
        refused = sum(server.refused_logins for server in self.servers)
        # A wrong password tried twice brings an account closer to being locked.
        logins = [] if refused == 1 else [f"wrong password: {refused} logins were tried instead of 1"]
        rude = sum(server.connections - server.quits for server in self.servers)
        endings = [f"{rude} connections ended without QUIT"] if rude else []
        return [f"{row.example.name}: {mistake}" for row in self.rows for mistake in row.mistakes] + logins + endings

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON."""
        return {
            "as_expected": not self.mistakes,
            "mistakes": self.mistakes,
            "seconds": round(self.seconds, 3),
            "rows": [row.as_dict() for row in self.rows],
            "servers": [server.as_dict() for server in self.servers],
        }
