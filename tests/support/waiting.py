"""Waiting for something to come true, with a deadline, instead of sleeping and hoping.

Every test that depends on another process, thread or socket waits here. No other module of the tests may sleep;
`test_layout` checks that.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

# The first pause is short, so that a quick condition costs little; then they grow, so that a slow one costs no CPU.
FIRST_PAUSE_S = 0.002
LONGEST_PAUSE_S = 0.1

Found = TypeVar("Found")


def wait_until(condition: Callable[[], Found | None], timeout_s: float, what: str = "") -> Found:
    """Call `condition` until it returns something true, and return that.

    Raises:
        AssertionError: it was still false when `timeout_s` had passed; the text names `what` was waited for.
    """
    for pause_s in _pauses(timeout_s):
        if found := condition():
            return found
        time.sleep(pause_s)
    if found := condition():
        return found
    raise AssertionError(_complaint(condition, timeout_s, what))


async def wait_until_async(condition: Callable[[], Found | None], timeout_s: float, what: str = "") -> Found:
    """Do the same inside an event loop, which goes on running meanwhile."""
    for pause_s in _pauses(timeout_s):
        if found := condition():
            return found
        await asyncio.sleep(pause_s)
    if found := condition():
        return found
    raise AssertionError(_complaint(condition, timeout_s, what))


def _pauses(timeout_s: float) -> Iterator[float]:
    deadline = time.monotonic() + timeout_s
    pause_s = FIRST_PAUSE_S
    while (left_s := deadline - time.monotonic()) > 0:
        yield min(pause_s, left_s)
        pause_s = min(pause_s * 1.5, LONGEST_PAUSE_S)


def _complaint(condition: Callable[[], object], timeout_s: float, what: str) -> str:
    return f"waited {timeout_s:g} s in vain for {what or getattr(condition, '__qualname__', repr(condition))}"
