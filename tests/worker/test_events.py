"""What the worker says of its deliveries: ids, states, codes and counts, to all who listen."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from postroom_contract.outcome import State
from postroom_worker import events
from postroom_worker.events import AttemptEnded, AttemptOvertaken, BugMet, Event

CANARY = "ann@example.com"


@pytest.fixture
def heard() -> Iterator[list[Event]]:
    """All that is told during the test."""
    heard: list[Event] = []
    events.listen(heard.append)
    yield heard
    events.stop_listening(heard.append)


def test_an_end_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    """State, codes, counts and times are told; what there is not is left out."""
    with caplog.at_level(logging.INFO):
        events.tell(
            AttemptEnded("id-1", State.FAILED, code=1301, refused=1, attempts=2, seconds=0.5, smtp_s={"reply": 0.25})
        )

    (line,) = caplog.messages
    assert "id-1 is failed: code=1301 accepted=0 refused=1 unknown=0 attempts=2" in line
    assert "seconds=0.500 smtp_reply_s=0.250" in line
    assert "reason" not in line


def test_a_delay_says_why_and_how_long(caplog: pytest.LogCaptureFixture) -> None:
    """Code, reason and wait are told."""
    with caplog.at_level(logging.INFO):
        events.tell(
            AttemptEnded(
                "id-1", State.RETRYING, code=100, reason="refused", failure="connection", after_s=4.0, attempts=3
            )
        )

    (line,) = caplog.messages
    assert "id-1 is retrying: code=100 reason=refused failure=connection after_s=4.000" in line


def test_what_waits_for_an_operator_is_an_error(caplog: pytest.LogCaptureFixture) -> None:
    """So that it stands out in a log of successes; what is left alone does not."""
    with caplog.at_level(logging.INFO):
        events.tell(AttemptEnded("id-1", State.HELD, code=1303))
        events.tell(AttemptOvertaken("id-2", "ended"))

    assert [record.levelname for record in caplog.records] == ["ERROR", "INFO"]
    assert caplog.messages[1] == "delivery id-2 is left alone: ended"


def test_a_bug_is_told_by_kind_and_place(caplog: pytest.LogCaptureFixture) -> None:
    """An exception's text may quote the message, and is not asked for."""
    try:
        int(CANARY)
    except ValueError as error:
        events.tell(BugMet("id-1", type(error).__name__, events.place_of(error)))

    (line,) = caplog.messages
    assert "id-1 met a bug: ValueError at" in line
    assert "test_events.py:" in line
    assert CANARY not in line


def test_all_who_listen_are_told_also_when_the_log_is_silent(heard: list[Event]) -> None:
    """The level of the log decides about lines only."""
    events.logger.setLevel(logging.CRITICAL)
    try:
        events.tell(AttemptOvertaken("id-1", "lost"))
    finally:
        events.logger.setLevel(logging.NOTSET)

    assert heard == [AttemptOvertaken("id-1", "lost")]


def test_a_listener_that_fails_is_told_of_and_stops_nobody(
    heard: list[Event], caplog: pytest.LogCaptureFixture
) -> None:
    """What is told is written down already: a mistake in counting must not make a sent mail look failed."""

    def fail(event: Event) -> None:
        raise ValueError(CANARY)

    events.listen(fail)
    events.listen(heard.append)
    try:
        events.tell(AttemptOvertaken("id-1", "lost"))
    finally:
        events.stop_listening(fail)
        events.stop_listening(heard.append)

    assert len(heard) == 2
    assert "A listener met a bug: ValueError at" in caplog.text
    assert CANARY not in caplog.text


@pytest.mark.parametrize(("code", "place"), [(1303, "held --help"), (1401, "dead show id-1")])
def test_what_is_held_says_where_to_go_on(caplog: pytest.LogCaptureFixture, code: int, place: str) -> None:
    """An operator who reads the log need not know the two kinds of it."""
    events.tell(AttemptEnded("id-1", State.HELD, code=code))

    (line,) = caplog.messages
    assert line.startswith(f"delivery id-1 is held: code={code}")
    assert line.endswith(f"; `postroom {place}` tells what to do")


def test_what_only_spans_need_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    """The trace's id is, so that one finds it."""
    with caplog.at_level(logging.INFO):
        events.tell(
            AttemptEnded(
                "id-1", State.SENT, traceparent="00-a-b-01", tracestate="vendor=1", queue="q", laps_s={"claim": 1.0}
            )
        )

    (record,) = caplog.records
    told = vars(record)[events.EVENT]
    assert told["traceparent"] == "00-a-b-01"
    assert {"tracestate", "queue", "laps_s"}.isdisjoint(told)
    assert "vendor" not in record.message
