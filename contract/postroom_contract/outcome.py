"""What became of a delivery: the outcome a producer reads, and the sealed record that Celery stores.

Owns the states, the per-recipient results, and the rule which of them may stand in the clear: id, state and code may,
everything else is sealed. Deciding what the outcome is belongs to the worker's delivery; reading it from Redis belongs
to the broker.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, ClassVar, TypedDict

from pydantic import Field

from postroom_contract.environment import read_keyring
from postroom_contract.error_codes import ErrorCode
from postroom_contract.errors import Facts, PostroomError, SealException, SettingsException, make_error
from postroom_contract.refusal import ContractModel
from postroom_contract.sealing import Keyring

RECORD_VERSION = 1


class State(StrEnum):
    """Where a delivery is; the last six are final."""

    REFUSED = "refused"
    NOT_FOUND = "not_found"
    QUEUED = "queued"
    SCHEDULED = "scheduled"
    SENDING = "sending"
    RETRYING = "retrying"
    HELD = "held"
    SENT = "sent"
    PARTIAL = "partial"
    FAILED = "failed"
    UNKNOWN = "unknown"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class Refusal(ContractModel):
    """A server's reply about one recipient (RFC 5321 section 4.2, RFC 3463)."""

    code: int
    enhanced: str | None = None
    text: str = ""

    def __repr__(self) -> str:
        """Show codes: a reply's text often quotes the address."""
        return f"Refusal({self.code}, {self.enhanced})"


class Report(ContractModel):
    """Everything about an outcome that is sealed."""

    message_id: str | None = None
    accepted: tuple[str, ...] = ()
    refused: dict[str, Refusal] = Field(default_factory=dict)
    unknown: tuple[str, ...] = ()
    attempts: int = 0
    possible_duplicate: bool = False
    error: dict[str, Any] | None = None

    def __repr__(self) -> str:
        """Show counts only."""
        return f"Report(attempts={self.attempts}, accepted={len(self.accepted)}, refused={len(self.refused)})"


class Record(TypedDict):
    """The stored form of an outcome: what everybody may see, and the rest sealed."""

    v: int
    id: str
    state: str
    code: int | None
    sealed: str


class Outcome:
    """What became of one delivery; recipients and texts open on access, with the keys."""

    state: ClassVar[State]

    def __init__(
        self,
        delivery_id: str,
        code: int | None = None,
        *,
        report: Report | None = None,
        sealed: str = "",
        keyring: Keyring | None = None,
    ) -> None:
        self.id = delivery_id
        self.code = code
        self._report = report
        self._sealed = sealed
        self._keyring = keyring

    @property
    def report(self) -> Report:
        """The sealed part, opened with the mailer's keys, or with POSTROOM_KEYS where there is no mailer."""
        if self._report is None:
            keyring = self._keyring or read_keyring("POSTROOM_KEYS")
            self._report = Report.accept_json(keyring.open(self._sealed, _place(self.id, self.state)))
        return self._report

    @property
    def message_id(self) -> str | None:
        """The Message-ID header that the message bears."""
        return self.report.message_id

    @property
    def accepted(self) -> list[str]:
        """The recipients that the server took responsibility for."""
        return list(self.report.accepted)

    @property
    def refused(self) -> dict[str, Refusal]:
        """The recipients that the server refused for good, with its replies."""
        return dict(self.report.refused)

    @property
    def unknown(self) -> list[str]:
        """The recipients who may or may not have got the message."""
        return list(self.report.unknown)

    @property
    def attempts(self) -> int:
        """How often the worker tried."""
        return self.report.attempts

    @property
    def possible_duplicate(self) -> bool:
        """Whether a recipient may have got the message twice."""
        return self.report.possible_duplicate

    @property
    def error(self) -> PostroomError | None:
        """Why not everybody got the message; None when everybody did."""
        error = self.report.error
        return None if error is None else make_error(error["code"], error["facts"])

    def seal(self, keyring: Keyring) -> Record:
        """The record to store; from now on the outcome can be written as JSON."""
        self._sealed = keyring.seal(self.report.model_dump_json(by_alias=True).encode(), _place(self.id, self.state))
        return self.record

    @property
    def record(self) -> Record:
        """The stored form.

        Raises:
            ValueError: it was never sealed, and nothing may leave the process in the clear.
        """
        if not self._sealed:
            raise ValueError("an outcome is stored sealed only: call seal(keyring) first")
        return {
            "v": RECORD_VERSION,
            "id": self.id,
            "state": self.state.value,
            "code": self.code,
            "sealed": self._sealed,
        }

    def sealed_error(self, keyring: Keyring) -> PostroomError | None:
        """The error in the form Celery may store: public facts, and the whole outcome sealed."""
        error = self.error
        return (
            None
            if error is None
            else make_error(error.error_code, {**error.public_facts(), "outcome": self.seal(keyring)})
        )

    def as_dict(self) -> dict[str, Any]:
        """The outcome as JSON, in the shape that `postroom status` prints."""
        error = self.error
        return {
            "id": self.id,
            "state": self.state.value,
            "message_id": self.message_id,
            "accepted": self.accepted,
            "refused": {address: refusal.model_dump() for address, refusal in self.refused.items()},
            "attempts": self.attempts,
            "possible_duplicate": self.possible_duplicate,
            "error": None if error is None else error.as_dict(),
        }

    def __eq__(self, other: object) -> bool:
        """Two outcomes are equal when they tell the same of the same delivery."""
        if not isinstance(other, Outcome) or (self.id, self.state, self.code) != (other.id, other.state, other.code):
            return False
        # One stored record read twice is equal without the keys; anything else has to be opened.
        return (self._sealed != "" and self._sealed == other._sealed) or self.report == other.report

    def __hash__(self) -> int:
        """Hash by the delivery."""
        return hash((self.id, self.state))

    def __repr__(self) -> str:
        """Show the state and, where they are known, counts: reprs reach logs and Flower."""
        told = [self.id] if self.code is None else [self.id, f"code={self.code}"]
        if report := self._report:
            told += [f"accepted={len(report.accepted)}", f"refused={len(report.refused)}"]
            told += ["possible_duplicate"] if report.possible_duplicate else []
        return f"{type(self).__name__}({', '.join(told)})"


class Sent(Outcome):
    """Your server accepted the message for every recipient."""

    state = State.SENT


class Partial(Outcome):
    """Some recipients were accepted, and the rest refused for good."""

    state = State.PARTIAL


class Failed(Outcome):
    """Nobody was sent to; `error` says why."""

    state = State.FAILED


class Unknown(Outcome):
    """The server took the whole message and never answered: it may have been delivered."""

    state = State.UNKNOWN


class Cancelled(Outcome):
    """The sender called it back in time."""

    state = State.CANCELLED


class Expired(Outcome):
    """It was not sent before its time was over, and never will be."""

    state = State.EXPIRED


OUTCOMES: dict[State, type[Outcome]] = {
    kind.state: kind for kind in (Sent, Partial, Failed, Unknown, Cancelled, Expired)
}


def from_record(record: Record, keyring: Keyring | None = None) -> Outcome:
    """The outcome that a stored record holds; its sealed part opens when it is asked for."""
    kind = OUTCOMES[State(record["state"])]
    return kind(record["id"], record["code"], sealed=record["sealed"], keyring=keyring)


def error_of(outcome: Outcome) -> PostroomError | None:
    """The error a caller should raise for an outcome; None where at least one recipient was accepted."""
    return outcome.error if outcome.state not in {State.SENT, State.PARTIAL} else None


def open_facts(record: Record) -> Facts | None:
    """All facts of the error in a record, or None where this process holds no key for it."""
    try:
        error = from_record(record).error
    except (SealException, SettingsException):
        return None
    return None if error is None else error.facts


def report_of_error(error: PostroomError) -> dict[str, Any]:
    """An error as a report carries it."""
    return {"code": int(ErrorCode(error.error_code)), "facts": error.facts}


def _place(delivery_id: str, state: State) -> dict[str, Any]:
    return {"use": "outcome", "id": delivery_id, "state": state.value}
