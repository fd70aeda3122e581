"""How the worker's log is spelled: text for a person, one JSON object a line for a machine.

Owns the choice between the two and the JSON form, for Celery's own lines too. What is said is for those who say it; events
of deliveries bring their fields along, and only these are shown. `app` has Celery use it.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import TYPE_CHECKING, Literal

from postroom_worker.events import EVENT

if TYPE_CHECKING:
    from postroom_contract.environment import Environment

LogFormat = Literal["json", "text"]


def read_log_format(environment: Environment) -> LogFormat:
    """The setting; without it, text on a terminal and JSON elsewhere."""
    told = environment.text("POSTROOM_LOG_FORMAT", "auto")
    if told == "json" or (told == "auto" and not sys.stderr.isatty()):
        return "json"
    if told not in {"text", "auto"}:
        environment.mistakes.append('POSTROOM_LOG_FORMAT is neither "json", "text" nor "auto"')
    return "text"


def spell_json(logger: logging.Logger) -> None:
    """Have all that a logger writes itself written as JSON."""
    for handler in logger.handlers:
        handler.setFormatter(JsonLine())


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
