"""How the log is spelled."""

from __future__ import annotations

import io
import json
import logging
import sys
from typing import Any

import pytest

from postroom_contract.environment import Environment
from postroom_contract.outcome import State
from postroom_worker import events
from postroom_worker.log_format import JsonLine, read_log_format, spell_json


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


@pytest.mark.parametrize(
    ("told", "on_terminal", "expected"),
    [("", False, "json"), ("auto", True, "text"), ("text", False, "text"), ("json", True, "json")],
)
def test_a_terminal_gets_text_and_all_else_json_unless_told(
    told: str,
    on_terminal: bool,  # noqa: FBT001
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The setting wins."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: on_terminal, raising=False)

    assert read_log_format(Environment({"POSTROOM_LOG_FORMAT": told})) == expected


def test_another_word_is_a_mistake() -> None:
    """It is told with all others at the start."""
    environment = Environment({"POSTROOM_LOG_FORMAT": "yaml"})
    read_log_format(environment)

    assert environment.mistakes == ['POSTROOM_LOG_FORMAT is neither "json", "text" nor "auto"']
