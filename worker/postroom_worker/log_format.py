"""How the worker's log is spelled for a machine: one JSON object a line.

Owns that form, for Celery's own lines too (but not for the one that its signal handler writes past every logger: "worker:
Warm shutdown"). Events of deliveries bring their fields along, and only these are shown. The setting decides between this
and Celery's own text; `app` has Celery use it.
"""

from __future__ import annotations

import json
import logging
import time

from postroom_worker.events import EVENT


def spell_json(logger: logging.Logger) -> None:
    """Have all that a logger writes itself written as JSON."""
    for handler in logger.handlers:
        handler.setFormatter(JsonLine())


def spell_warnings_json() -> None:
    """Have Python's warnings logged as JSON, also those that come before Celery has set its loggers up."""
    logging.captureWarnings(capture=True)
    warnings = logging.getLogger("py.warnings")
    warnings.propagate = False
    if not warnings.handlers:
        warnings.addHandler(logging.StreamHandler())
    spell_json(warnings)


class JsonLine(logging.Formatter):
    """One JSON object in one line."""

    def format(self, record: logging.LogRecord) -> str:
        """Spell a record; an event shows its fields instead of its text."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        said = {
            "time": f"{moment}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            **(getattr(record, EVENT, None) or {"message": record.getMessage()}),
        }
        if record.exc_info:
            said["traceback"] = self.formatException(record.exc_info)
        return json.dumps(said, ensure_ascii=False, default=str)
