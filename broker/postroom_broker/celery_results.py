"""How an outcome travels through Celery's result backend as itself.

Owns the one registration that lets Celery store our outcomes as JSON and give them back as objects, so that
`AsyncResult(id).get()` returns what `Receipt.outcome()` does. Importing it registers; the worker's app and the
producer's package do.
"""

from __future__ import annotations

from kombu.utils.json import register_type

from postroom_contract.outcome import Outcome, Record, from_record

# Stands in stored results of every released version; changing it makes them unreadable.
MARKER = "postroom.Outcome"


def _write(outcome: Outcome) -> Record:
    return outcome.record


register_type(Outcome, MARKER, _write, from_record)
