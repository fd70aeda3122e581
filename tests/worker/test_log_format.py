"""How the log is spelled."""

from __future__ import annotations

import io
import json
import logging
import warnings
from typing import Any

import pytest

from postroom_contract.outcome import State
from postroom_worker import events
from postroom_worker.log_format import JsonLine, spell_json, spell_warnings_json


def spelled(name: str, say: Any) -> dict[str, Any]:
    """The one line that a logger writes, read as JSON."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    logger = logging.getLogger(name)
    logger.addHandler(handler)
    level = logger.level
    logger.setLevel(logging.INFO)
    try:
        handler.setFormatter(JsonLine())
        say(logger)
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)
    (line,) = stream.getvalue().splitlines()
    read: dict[str, Any] = json.loads(line)
    return read


def test_a_line_of_anybodys_becomes_an_object() -> None:
    """Time in UTC, level, logger, text; a line end in the text stays inside the line."""
    line = spelled("test.spelling", lambda logger: logger.warning("two %s\nlines", "short"))

    assert (line["level"], line["logger"], line["message"]) == ("warning", "test.spelling", "two short\nlines")
    assert line["time"].endswith("Z")


def test_an_event_shows_its_fields_instead_of_its_text() -> None:
    """What has nothing to say is left out."""
    event = events.AttemptEnded("id-1", State.FAILED, code=1301, smtp_code=550, refused=1, attempts=1, seconds=0.25)
    line = spelled("postroom.delivery", lambda _: events.tell(event))

    assert (line["event"], line["id"], line["state"], line["code"]) == ("attempt_ended", "id-1", "failed", 1301)
    assert (line["smtp_code"], line["refused"], line["seconds"]) == (550, 1, 0.25)
    assert not {"message", "reason", "after_s", "smtp_s"} & line.keys()


def test_a_traceback_stays_in_its_line() -> None:
    """A machine reads line by line."""

    def say(logger: logging.Logger) -> None:
        try:
            int("no number")
        except ValueError:
            logger.exception("oops")

    assert "ValueError" in spelled("test.spelling", say)["traceback"]


def test_all_handlers_of_a_logger_are_told() -> None:
    """Celery hands over a logger with the handlers it has made."""
    logger = logging.getLogger("test.handlers")
    logger.addHandler(logging.StreamHandler())
    logger.addHandler(logging.NullHandler())
    spell_json(logger)

    assert all(isinstance(handler.formatter, JsonLine) for handler in logger.handlers)


def test_a_warning_is_a_line_of_the_log(capfd: pytest.CaptureFixture[str]) -> None:
    """Celery warns of a worker that runs as root before it has set any logger up."""
    logger = logging.getLogger("py.warnings")
    logger.handlers.clear()
    try:
        spell_warnings_json()
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            logging.captureWarnings(capture=False)
            logging.captureWarnings(capture=True)
            warnings.warn("careful", stacklevel=1)
    finally:
        logging.captureWarnings(capture=False)
        logger.handlers.clear()
        logger.propagate = True

    assert "careful" in json.loads(capfd.readouterr().err)["message"]
