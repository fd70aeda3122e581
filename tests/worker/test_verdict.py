"""The verdict table, row by row."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom_contract.error_codes import ErrorCode
from postroom_contract.errors import Facts, PostroomError, make_error
from postroom_worker.verdict import (
    POLICIES,
    Fail,
    FailureClass,
    Retry,
    Unknown,
    classify,
    judge,
    named_wait_s,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MIDDLE = 0.5  # the number that leaves a wait unspread


def failure(code: ErrorCode, **facts: object) -> PostroomError:
    """An error without a reply."""
    return make_error(code, dict(facts))


def reply(smtp_code: int, enhanced: str | None = None, text: str = "", command: str = "the message") -> PostroomError:
    """An error that a server's reply caused."""
    facts: Facts = {"command": command, "smtp_code": smtp_code, "enhanced_code": enhanced, "text": text}
    return make_error(ErrorCode.COMMAND_REFUSED, {**facts, "retryable": smtp_code < 500})


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (failure(ErrorCode.INVALID_PORT, retryable=True), FailureClass.CONNECTION),
        (failure(ErrorCode.INVALID_HOST, retryable=True), FailureClass.CONNECTION),
        (failure(ErrorCode.CONNECTION_LOST, retryable=True), FailureClass.CONNECTION),
        (failure(ErrorCode.INVALID_HOST), FailureClass.PERMANENT),
        (failure(ErrorCode.SSL_REQUIRED), FailureClass.PERMANENT),
        (failure(ErrorCode.SSL_UNSUPPORTED), FailureClass.PERMANENT),
        (failure(ErrorCode.INVALID_USER_CREDENTIALS, smtp_code=535), FailureClass.PERMANENT),
        (failure(ErrorCode.INVALID_USER_CREDENTIALS, smtp_code=454, retryable=True), FailureClass.THROTTLED),
        (failure(ErrorCode.FILE_NOT_FOUND), FailureClass.PERMANENT),
        (failure(ErrorCode.FILE_UNREADABLE, retryable=True), FailureClass.CONNECTION),
        (failure(ErrorCode.MESSAGE_TOO_LARGE, smtp_code=552), FailureClass.PERMANENT),
        (failure(ErrorCode.LOCAL_RESOURCE, retryable=True), FailureClass.LOCAL),
        (failure(ErrorCode.UNKNOWN_OUTCOME), FailureClass.AMBIGUOUS),
        (reply(550, "5.1.1"), FailureClass.PERMANENT),
        (reply(451, "4.3.0"), FailureClass.DEFERRED),
        (reply(421), FailureClass.THROTTLED),
        (reply(432, "4.3.2"), FailureClass.THROTTLED),
        (reply(454), FailureClass.THROTTLED),
        (reply(450, "4.7.1", command="RCPT"), FailureClass.GREYLISTED),
        (reply(451, None, "Greylisted, please come back", command="RCPT"), FailureClass.GREYLISTED),
        (reply(452, "4.2.2", command="RCPT"), FailureClass.DEFERRED),
        (reply(450, "4.7.1", command="MAIL"), FailureClass.DEFERRED),
    ],
)
def test_each_failure_has_its_class(error: PostroomError, expected: FailureClass) -> None:
    """An error's code, reply and place decide how it is treated."""
    assert classify(error) is expected


def test_a_connection_is_tried_five_times_with_doubling_waits() -> None:
    """Refused connections wait 1, 2, 4, 8 s and are given up at the fifth attempt."""
    error = failure(ErrorCode.INVALID_PORT, retryable=True)
    verdicts = [judge(error, {"connection": n}, NOW, NOW, lambda: MIDDLE) for n in range(5)]

    assert verdicts == [*(Retry(wait, FailureClass.CONNECTION) for wait in (1.0, 2.0, 4.0, 8.0)), Fail()]


def test_a_machine_without_sockets_is_waited_for_until_closed_ones_are_free() -> None:
    """Eight attempts, over longer than the minute for which the system keeps a closed connection's port, by any chance."""
    error = failure(ErrorCode.LOCAL_RESOURCE, retryable=True)
    verdicts = [judge(error, {"local": n}, NOW, NOW, lambda: 0.0) for n in range(8)]
    waits = [verdict.after_s for verdict in verdicts if isinstance(verdict, Retry)]

    assert (len(waits), verdicts[-1]) == (7, Fail())
    assert sum(waits) > 60


def test_a_deferred_message_waits_longer_each_time_up_to_an_hour_and_is_given_up_after_a_day() -> None:
    """A 4yz reply waits 30 s doubling to an hour, for 24 hours."""
    waits = [judge(reply(451), {"deferred": n}, NOW, NOW, lambda: MIDDLE) for n in (0, 1, 2, 7, 50)]
    too_late = judge(reply(451), {"deferred": 30}, NOW - timedelta(hours=24), NOW, lambda: MIDDLE)

    assert [verdict.after_s for verdict in waits if isinstance(verdict, Retry)] == [30, 60, 120, 3600, 3600]
    assert too_late == Fail()


def test_a_greylisted_recipient_is_never_tried_before_five_minutes() -> None:
    """Even with the luckiest spread the wait is 300 s or more."""
    verdict = judge(reply(450, "4.7.1", command="RCPT"), {}, NOW, NOW, lambda: 0.0)

    assert verdict == Retry(300, FailureClass.GREYLISTED)


def test_throttling_is_charged_to_its_own_class() -> None:
    """A provider's limit uses up none of the attempts a refused connection has."""
    verdict = judge(reply(454, text="Throttling failure"), {"connection": 4}, NOW, NOW, lambda: MIDDLE)

    assert verdict == Retry(30, FailureClass.THROTTLED)


def test_a_permanent_failure_and_an_unknown_outcome_are_never_retried() -> None:
    """5yz fails at once; an ambiguous end is told as unknown."""
    assert judge(reply(550), {}, NOW, NOW, lambda: MIDDLE) == Fail()
    assert judge(failure(ErrorCode.UNKNOWN_OUTCOME), {}, NOW, NOW, lambda: MIDDLE) == Unknown()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Greylisted, try again in 5 minutes", 300),
        ("retry after 90 seconds", 90),
        ("wait 1 hour", 3600),
        ("please wait 45s", 45),
        ("see rule 5", None),
        ("", None),
    ],
)
def test_a_wait_that_the_reply_names_is_read(text: str, expected: float | None) -> None:
    """Seconds, minutes and hours are understood; other numbers are not waits."""
    assert named_wait_s(text) == expected


def test_a_named_wait_wins_but_not_beyond_an_hour() -> None:
    """The server knows best, up to the longest pause we take."""
    short = judge(reply(451, text="come back in 7 seconds"), {}, NOW, NOW, lambda: MIDDLE)
    long = judge(reply(451, text="come back in 500 hours"), {}, NOW, NOW, lambda: MIDDLE)

    assert short == Retry(7, FailureClass.DEFERRED)
    assert long == Retry(3600, FailureClass.DEFERRED)


@given(
    failures=st.integers(0, 10_000),
    chance=st.floats(0, 1),
    code=st.sampled_from([421, 432, 450, 451, 452, 454, 499]),
    at=st.sampled_from(["RCPT", "DATA"]),
)
def test_no_wait_outlasts_the_longest_pause(failures: int, chance: float, code: int, at: str) -> None:
    """Whatever happened how often, a retry comes within its class's cap and spread."""
    error = reply(code, "4.7.1", command=at)
    verdict = judge(error, {classify(error): failures}, NOW, NOW, lambda: chance)

    assert isinstance(verdict, Retry)
    policy = POLICIES[verdict.charged_to]
    assert 0 < verdict.after_s <= policy.cap_s * (1 + policy.jitter)
