"""How the end of an attempt is written down: for the ledger, and for Celery, which shows it.

Owns the translation of an ending into the ledger's settlement (state, result, what is to come) and into the value or the error
that Celery's tracer gets. Both are sealed or public. Writing is `assignment`'s, deciding was `conclusion`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from postroom_broker import celery_results
from postroom_broker.death_reasons import DeathReason
from postroom_broker.ledger.claims import Act, Settlement
from postroom_broker.task_message import SealedDelivery, task_message
from postroom_broker.transport.envelope import dead
from postroom_contract.errors import SealException
from postroom_contract.outcome import Failed, Outcome, Report, State, report_of_error
from postroom_worker.async_task import RetryLater
from postroom_worker.conclusion import Again, Hold, public
from postroom_worker.delivery import Unopened

if TYPE_CHECKING:
    from postroom_contract.delivery import Progress
    from postroom_contract.sealing import Keyring

# What Celery is told: a value to return, a retry, or an error to raise.
Told = Outcome | RetryLater | Exception


@dataclass(frozen=True, slots=True, repr=False)
class Parcel:
    """The message as it came, to be put into a queue again."""

    id: str
    queue: str
    payload: str
    retries: int
    progress: str | None = None  # what it came with
    trace: Mapping[str, str] = field(default_factory=dict)  # its headers of the trace that it belongs to

    def again(self, progress: str | None) -> str:
        """The task message for the next attempt."""
        return task_message(
            SealedDelivery(self.id, self.queue, self.payload, progress, self.retries + 1, trace=self.trace)
        )


def write_down(ending: Outcome | Again | Hold | Unopened, parcel: Parcel, keyring: Keyring) -> tuple[Settlement, Told]:
    """What the ledger writes, and what Celery is told where that is left to it."""
    match ending:
        case Again():
            return _again(ending, parcel, _seal(ending.progress, parcel, keyring))
        case Hold():
            return _hold(ending, parcel, _seal(ending.progress, parcel, keyring))
        case Unopened():
            return _bury(ending, parcel, keyring)
    return _end(ending, keyring)


def _end(outcome: Outcome, keyring: Keyring) -> tuple[Settlement, Told]:
    result, told = celery_results.end(outcome, keyring)
    return Settlement(Act.END, outcome.state, result, code=outcome.code), told


def _again(again: Again, parcel: Parcel, progress: str) -> tuple[Settlement, Told]:
    error = public(again.error)
    settlement = Settlement(
        Act.RETRY,
        State.RETRYING,
        celery_results.retry(parcel.id, error),
        progress,
        f"{parcel.queue}\n{parcel.again(progress)}",
        again.after_s,
        error.error_code,
        error.reason,
    )
    return settlement, RetryLater(again.after_s, error, (parcel.payload, progress))


def _hold(hold: Hold, parcel: Parcel, progress: str) -> tuple[Settlement, Told]:
    error = public(hold.error)
    message = f"{parcel.queue}\n{parcel.again(progress)}"
    settlement = Settlement(
        Act.HOLD, State.HELD, progress=progress, message=message, code=error.error_code, reason=error.reason
    )
    return settlement, error


def _bury(unopened: Unopened, parcel: Parcel, keyring: Keyring) -> tuple[Settlement, Told]:
    error = public(unopened.error)
    is_closed = isinstance(error, SealException)
    message = dead(
        parcel.again(parcel.progress),
        reason=DeathReason(str(error.reason)) if is_closed else DeathReason.BUG,
        deliveries=1,
        queue=parcel.queue,
    )
    settlement = Settlement(Act.BURY, State.HELD, message=message, code=error.error_code, reason=error.reason)
    report = Report(error=report_of_error(unopened.error))
    told = Failed(parcel.id, error.error_code, report=report).sealed_error(keyring)
    assert told is not None
    return settlement, told


def _seal(progress: Progress, parcel: Parcel, keyring: Keyring) -> str:
    return progress.seal(parcel.id, keyring)
