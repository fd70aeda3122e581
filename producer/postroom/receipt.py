"""The receipt for a message handed over: asks what became of it.

Owns the translation of Celery's result records into states and outcomes. Reading the records is the broker's business,
what an outcome says is the contract's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from postroom_broker.celery_results import MARKER
from postroom_contract.error_codes import ErrorCode
from postroom_contract.errors import PostroomError
from postroom_contract.outcome import Failed, Outcome, Report, State, Unknown, error_of, from_record, report_of_error

if TYPE_CHECKING:
    from postroom_broker.results import StoredResult
    from postroom_contract.sealing import Keyring

# Celery's words for a record that is not final yet.
_STATES = {"PENDING": State.QUEUED, "RECEIVED": State.QUEUED, "STARTED": State.SENDING, "RETRY": State.RETRYING}


class ResultRecords(Protocol):
    """Where results are read: Redis (`postroom_broker.results`), or the memory of the test double."""

    def read(self, delivery_id: str) -> StoredResult | None:
        """The record of a delivery, or None where there is no trace of it."""

    def wait(self, delivery_id: str, timeout_s: float | None) -> StoredResult | None:
        """The final record of a delivery, or whatever is there when the time is over."""


class Receipt:
    """Proof that a message was handed over; `id` is all that is needed to ask again later, anywhere."""

    def __init__(self, delivery_id: str, results: ResultRecords, keyring: Keyring) -> None:
        self.id = delivery_id
        self._results = results
        self._keyring = keyring

    def state(self) -> State:
        """Where the delivery is now.

        Raises:
            BrokerUnavailable: Redis is away.
        """
        stored = self._results.read(self.id)
        if stored is None:
            return State.NOT_FOUND
        return self._read(stored).state if stored.is_final else _STATES.get(stored.status, State.QUEUED)

    def outcome(self, timeout: float | None = None) -> Outcome:
        """What became of it: `Sent`, `Partial`, `Failed` or `Unknown`.

        Args:
            timeout: seconds to wait for it; None waits for as long as it takes, 0 only looks.

        Raises:
            TimeoutError: it is not decided yet.
            BrokerUnavailable: Redis is away.
        """
        stored = self._results.wait(self.id, timeout)
        if stored is None or not stored.is_final:
            state = State.NOT_FOUND if stored is None else _STATES.get(stored.status, State.QUEUED)
            raise TimeoutError(f"delivery {self.id} is {state} after {timeout} s")
        return self._read(stored)

    def result(self, timeout: float | None = None) -> Outcome:
        """The outcome, where at least one recipient was accepted; otherwise the error is raised.

        Raises:
            PostroomError: the typed error of a failed delivery, or `UnknownOutcomeException`.
            TimeoutError: it is not decided yet.
        """
        outcome = self.outcome(timeout)
        error = error_of(outcome)
        if error is not None:
            raise error
        return outcome

    def _read(self, stored: StoredResult) -> Outcome:
        record = _record(stored.value)
        if record is not None:
            return from_record(record, self._keyring)
        # Not ours: somebody revoked the task before it ran, or the worker itself failed, nobody knows at which point.
        # Celery's text is not shown, it may quote.
        is_revoked = stored.status == "REVOKED"
        reason = "revoked" if is_revoked else _exception_name(stored.value)
        report = Report(error=report_of_error(PostroomError(ErrorCode.INTERNAL, {"reason": reason})))
        return (Failed if is_revoked else Unknown)(self.id, int(ErrorCode.INTERNAL), report=report)

    def __repr__(self) -> str:
        """Show the id."""
        return f"Receipt({self.id})"


def _exception_name(value: object) -> str:
    return str(value.get("exc_type", "not_ours")) if isinstance(value, dict) else "not_ours"


def _record(value: Any) -> Any:
    """The sealed record in a Celery result: an outcome that was returned, or one inside an error that was raised."""
    if not isinstance(value, dict):
        return None
    if value.get("__type__") == MARKER:
        return value["__value__"]
    arguments = value.get("exc_message")
    facts = arguments[1] if isinstance(arguments, list) and len(arguments) > 1 else None
    return facts.get("outcome") if isinstance(facts, dict) else None
