"""Waiting with a deadline: the value found is handed over, and a vain wait names what it was for.

The rest of the suite trusts these functions, so they have tests of their own.
"""

import asyncio

import pytest

from tests.support.waiting import wait_until, wait_until_async


def test_value_found_is_returned() -> None:
    """The first true value ends the wait."""
    values = iter([None, 0, "here"])

    assert wait_until(lambda: next(values), timeout_s=5) == "here"


def test_vain_wait_names_what_was_waited_for() -> None:
    """The failure text says what did not happen and how long was waited."""
    with pytest.raises(AssertionError, match=r"waited 0\.01 s in vain for the mail to arrive"):
        wait_until(lambda: False, timeout_s=0.01, what="the mail to arrive")


def test_condition_is_looked_at_once_more_after_the_deadline() -> None:
    """No time at all still means one look."""
    assert wait_until(lambda: "here", timeout_s=0) == "here"


def test_waiting_in_a_loop_lets_the_loop_run() -> None:
    """Another task of the same loop can make the condition true."""

    async def scenario() -> bool:
        done = asyncio.Event()
        asyncio.get_running_loop().call_later(0.01, done.set)
        return await wait_until_async(done.is_set, timeout_s=5)

    assert asyncio.run(scenario())


def test_vain_wait_in_a_loop_names_what_was_waited_for() -> None:
    """Inside a loop the failure text is the same."""
    with pytest.raises(AssertionError, match="in vain for the mail to arrive"):
        asyncio.run(wait_until_async(lambda: False, timeout_s=0.01, what="the mail to arrive"))
