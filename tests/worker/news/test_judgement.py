"""What a host's answer means, and how long it is waited after it."""

from __future__ import annotations

import pytest

from postroom_worker.news.judgement import MOST_ATTEMPTS, WAITS_S, Answer, answer_of, wait_after


@pytest.mark.parametrize("status", [200, 202, 204, 299])
def test_success_is_told(status: int) -> None:
    """Whichever it is."""
    assert answer_of(status).is_told


@pytest.mark.parametrize("status", [301, 400, 401, 404, 409, 429, 500, 503])
def test_everything_else_is_tried_again(status: int) -> None:
    """A receiver that is not there yet, or not ready, or mended tomorrow."""
    assert wait_after(answer_of(status), 1) == WAITS_S[0]


def test_gone_is_final() -> None:
    """The receiver says so in as many words."""
    assert wait_after(answer_of(410), 1) is None


def test_waits_grow_and_last_for_more_than_a_day() -> None:
    """Then an operator has to look."""
    waits = [wait_after(Answer(reason="x"), attempts) for attempts in range(1, MOST_ATTEMPTS + 1)]

    assert waits[:3] == [5.0, 30.0, 120.0]
    assert waits[-1] is None
    assert waits[:-1] == sorted(waits[:-1], key=float)  # type: ignore[arg-type]
    assert 24 * 3600 < sum(wait for wait in waits if wait) < 36 * 3600


@pytest.mark.parametrize(
    ("told", "wait_s"), [("60", 60.0), ("1", 5.0), ("99999", 3600.0), ("", 5.0), ("Wed, 25 Nov 2026", 5.0), ("-1", 5.0)]
)
def test_a_wait_that_is_asked_for_is_respected(told: str, wait_s: float) -> None:
    """Up to an hour, and never less than our own; a date is read as nothing."""
    assert wait_after(answer_of(503, told), 1) == wait_s


def test_what_we_put_off_ourselves_comes_when_we_said() -> None:
    """And counts for nothing."""
    assert wait_after(Answer(reason="busy", retry_after_s=2.5, is_charged=False), 0) == 2.5
