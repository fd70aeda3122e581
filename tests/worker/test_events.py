"""What the worker says of its deliveries: ids, states, codes and counts."""

from __future__ import annotations

import logging

import pytest

from postroom_contract.errors import (
    EmailSessionException,
    PostroomError,
    SealException,
    SmtpCommandException,
    UnknownOutcomeException,
)
from postroom_contract.outcome import Failed, Refusal, Report
from postroom_worker import events

CANARY = "ann@example.com"


def test_an_end_is_one_line_without_a_name(caplog: pytest.LogCaptureFixture) -> None:
    """State, code and counts are told; recipients and replies are not."""
    report = Report(refused={CANARY: Refusal(code=550, text=f"{CANARY}?")}, attempts=2)
    with caplog.at_level(logging.INFO):
        events.attempt_ended(Failed("id-1", 1301, report=report), 0.5)

    (line,) = caplog.messages
    assert "id-1 is failed: code=1301 accepted=0 refused=1 attempts=2" in line
    assert CANARY not in line


def test_a_delay_says_why_and_how_long(caplog: pytest.LogCaptureFixture) -> None:
    """Code, reason and wait are told."""
    error = EmailSessionException(100, {"host": CANARY, "reason": "refused", "retryable": True})
    with caplog.at_level(logging.INFO):
        events.attempt_put_off("id-1", error, 4.0, 3)

    (line,) = caplog.messages
    assert "id-1 is retrying: code=100 reason=refused smtp_code=None attempts=3 after_s=4.0" in line
    assert CANARY not in line


def test_a_bug_is_told_by_kind_and_place_and_not_by_its_words(caplog: pytest.LogCaptureFixture) -> None:
    """An exception's text may quote the message."""
    try:
        int(CANARY)
    except ValueError as error:
        events.bug_met("id-1", error)

    (line,) = caplog.messages
    assert "id-1 met a bug: ValueError at" in line
    assert "test_events.py:" in line
    assert CANARY not in line


def test_a_refused_command_shows_its_smtp_code(caplog: pytest.LogCaptureFixture) -> None:
    """The code helps an operator; the reply's text stays sealed."""
    error = SmtpCommandException(1301, {"smtp_code": 451, "text": CANARY, "retryable": True})
    with caplog.at_level(logging.INFO):
        events.attempt_put_off("id-1", error, 60, 1)

    assert "smtp_code=451" in caplog.text
    assert CANARY not in caplog.text


@pytest.mark.parametrize(
    ("error", "place"),
    [
        (UnknownOutcomeException(1303, {"host": CANARY}), "held --help"),
        (SealException(1401, {"reason": "unknown_key", "host": CANARY}), "dead show id-1"),
    ],
)
def test_what_is_held_says_where_to_go_on(caplog: pytest.LogCaptureFixture, error: PostroomError, place: str) -> None:
    """An operator who reads the log need not know the two kinds of it."""
    events.attempt_held("id-1", error)

    (line,) = caplog.messages
    assert line.startswith(f"delivery id-1 is held: code={error.error_code} reason={error.reason}; `postroom {place}`")
    assert CANARY not in line
