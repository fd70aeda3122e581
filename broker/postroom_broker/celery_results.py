"""How an outcome travels through Celery's result backend as itself.

Owns the form in which Celery's Redis backend stores a result, and the one registration that lets our outcomes come back as
objects, so that `AsyncResult(id).get()` returns what `Receipt.outcome()` does. Importing it registers; the worker's app and
the producer's package do. The ledger stores what is made here.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from kombu.utils.json import dumps, register_type

from postroom_contract.errors import PostroomError
from postroom_contract.outcome import Outcome, Record, error_of, from_record
from postroom_contract.sealing import Keyring

# Stands in stored results of every released version; changing it makes them unreadable.
MARKER = "postroom.Outcome"


def _write(outcome: Outcome) -> Record:
    return outcome.record


register_type(Outcome, MARKER, _write, from_record)


def end(outcome: Outcome, keyring: Keyring) -> tuple[str, Outcome | PostroomError]:
    """What Celery stores for an outcome, and what its task returns or raises; the outcome is sealed by it.

    One that nobody is known to have got is an error with public facts, which carries the sealed outcome.
    """
    error = None if error_of(outcome) is None else outcome.sealed_error(keyring)
    if error is not None:
        return failure(outcome.id, error), error
    outcome.seal(keyring)
    return _meta(outcome.id, "SUCCESS", outcome), outcome


def failure(delivery_id: str, error: PostroomError) -> str:
    """What Celery stores for an error with public facts."""
    return _meta(delivery_id, "FAILURE", _exception(error))


def retry(delivery_id: str, error: PostroomError) -> str:
    """What it stores while a delivery is retried: an error with public facts."""
    return _meta(delivery_id, "RETRY", _exception(error))


def _exception(error: PostroomError) -> dict[str, Any]:
    kind = type(error)
    return {"exc_type": kind.__qualname__, "exc_message": list(error.args), "exc_module": kind.__module__}


def _meta(delivery_id: str, status: str, result: object) -> str:
    done_at = None if status == "RETRY" else datetime.now(UTC).isoformat()
    return dumps(
        {
            "status": status,
            "result": result,
            "traceback": None,
            "children": [],
            "date_done": done_at,
            "task_id": delivery_id,
        }
    )
