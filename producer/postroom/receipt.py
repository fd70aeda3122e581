"""The receipt for a message handed over: asks what became of it, and calls it back.

Owns the translation of the ledger's and Celery's records into states and outcomes. Reading the records is the broker's
business, what an outcome says is the contract's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from postroom.options import check_time
from postroom_broker import celery_results
from postroom_broker.celery_results import MARKER
from postroom_broker.ledger.orders import Answer
from postroom_broker.results import REVOKED
from postroom_contract.delivery import Progress
from postroom_contract.ending import end
from postroom_contract.error_codes import ErrorCode
from postroom_contract.errors import CancelledException, PostroomError, make_error
from postroom_contract.outcome import (
    OUTCOMES,
    Cancelled,
    Failed,
    Outcome,
    Report,
    State,
    Unknown,
    error_of,
    from_record,
    report_of_error,
)

if TYPE_CHECKING:
    from datetime import datetime

    from postroom.tracking import AnyTracking
    from postroom_broker.results import StoredResult
    from postroom_contract.sealing import Keyring

# Celery's words for a record that is not final yet, of a delivery that the ledger does not know.
_STATES = {"PENDING": State.QUEUED, "RECEIVED": State.QUEUED, "STARTED": State.SENDING, "RETRY": State.RETRYING}

# What a delivery is whose message an operator has dropped.
_ENDED_BY_OPERATOR = {ErrorCode.CANCELLED: Cancelled, ErrorCode.UNKNOWN_OUTCOME: Unknown}


class Receipt:
    """Proof that a message was handed over; `id` is all that is needed to ask again later, anywhere."""

    def __init__(self, delivery_id: str, tracking: AnyTracking, keyring: Keyring) -> None:
        """Take the id as `id` has it.

        Raises:
            TypeError: it is no text.
        """
        if not isinstance(delivery_id, str):
            raise TypeError(f"a receipt's id is text, as `receipt.id` has it, and not a {type(delivery_id).__name__}")
        self.id = delivery_id
        self._tracking = tracking
        self._keyring = keyring

    def state(self) -> State:
        """Where the delivery is now.

        Raises:
            BrokerUnavailable: Redis is away.
        """
        record = self._tracking.record(self.id)
        if record is not None and record.is_ended:
            return record.state
        stored = self._tracking.read(self.id)
        if stored is not None and stored.is_final:
            return self._read(stored).state
        if record is not None:
            return record.state
        return State.NOT_FOUND if stored is None else _STATES.get(stored.status, State.QUEUED)

    def why(self) -> PostroomError | None:
        """Why it is retried or held, in public words; None in every other state."""
        record = self._tracking.record(self.id)
        if record is None or record.code is None or record.state not in {State.RETRYING, State.HELD}:
            return None
        facts = {"reason": record.reason, "retryable": record.state is State.RETRYING}
        return make_error(record.code, facts)

    def outcome(self, timeout: float | None = None) -> Outcome:
        """What became of it: `Sent`, `Partial`, `Failed`, `Unknown`, `Cancelled` or `Expired`.

        Args:
            timeout: seconds to wait for it; None waits for as long as it takes, 0 only looks.

        Raises:
            TimeoutError: it is not decided yet, or waits for an operator, or was decided more than a day ago, or there is
                no trace of it; all but the first are told at once, however long the timeout.
            BrokerUnavailable: Redis is away.
        """
        stored = self._tracking.wait(self.id, timeout)
        if stored is None or not stored.is_final:
            state = self.state()
            if state is State.NOT_FOUND:
                raise TimeoutError(f"there is no trace of delivery {self.id}; outcomes are kept for a day")
            why = "its outcome is not kept any more" if state in OUTCOMES else "not decided yet"
            hint = "; is a worker running? `postroom doctor` tells" if state is State.QUEUED else ""
            raise TimeoutError(f"delivery {self.id} is {state} and {why}{hint}")
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

    def cancel(self) -> bool:
        """Call the message back: true when nothing (more) of it is sent, false when it is too late.

        What was sent before stays sent, and the outcome tells it: `Cancelled` only where nobody got the message.

        Raises:
            BrokerUnavailable: Redis is away.
        """
        return self._end(CancelledException(ErrorCode.CANCELLED, {}))

    def reschedule(self, send_at: datetime | str) -> bool:
        """Move a scheduled message to another time; false when it does not wait any more.

        Raises:
            ArgumentException: the time cannot be read, or is naive.
            BrokerUnavailable: Redis is away.
        """
        return self._tracking.reschedule(self.id, check_time(send_at))

    def release(self) -> bool:
        """Send a held message (again) after all; false when it is not held."""
        return self._tracking.release(self.id)

    def _end(self, error: PostroomError) -> bool:
        while (record := self._tracking.record(self.id)) is not None and not record.is_ended:
            progress = Progress.open(record.progress, self.id, self._keyring)
            told = progress if progress.error else progress.model_copy(update={"error": report_of_error(error)})
            outcome = end(self.id, told)
            result, _ = celery_results.end(outcome, self._keyring)
            answer = self._tracking.call_back(self.id, outcome.state, result, record.progress, outcome.code)
            if answer not in {Answer.CHANGED, Answer.OVER}:
                return answer is Answer.ENDED
        return record is not None and record.state is State.CANCELLED

    def _read(self, stored: StoredResult) -> Outcome:
        record = _record(stored.value)
        if record is not None:
            return from_record(record, self._keyring)
        # Not ours: somebody revoked the task before it ran, or the worker itself failed, nobody knows at which point.
        # Celery's text is not shown, it may quote.
        told = _public_error(stored.value)
        if told is not None and told.code in _ENDED_BY_OPERATOR:
            kind = _ENDED_BY_OPERATOR[told.code]
            return kind(self.id, told.error_code, report=Report(error=report_of_error(told)))
        is_revoked = stored.status == REVOKED
        reason = "revoked" if is_revoked else _exception_name(stored.value)
        report = Report(error=report_of_error(PostroomError(ErrorCode.INTERNAL, {"reason": reason})))
        return (Failed if is_revoked else Unknown)(self.id, int(ErrorCode.INTERNAL), report=report)

    def __repr__(self) -> str:
        """Show the id."""
        return f"Receipt({self.id})"


def _public_error(value: object) -> PostroomError | None:
    """An error of ours that carries no outcome: whoever told it had no keys to seal one with."""
    arguments = value.get("exc_message") if isinstance(value, dict) else None
    if not isinstance(arguments, list) or len(arguments) != len(("code", "facts")):
        return None
    code, facts = arguments
    return make_error(code, facts) if code in set(ErrorCode) and isinstance(facts, dict) else None


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
