"""What the answer of a host means: told, try again (when), or leave it to an operator.

Owns that one table and the waits in it. Nothing here calls anybody or knows what time it is.
"""

from __future__ import annotations

from dataclasses import dataclass

# After each attempt that was in vain. A host that is being deployed is back in seconds, one that is broken in hours; all
# together are more than a day, the last wait being repeated.
WAITS_S = (5.0, 30.0, 120.0, 600.0, 1800.0, 3600.0)
# Then the news lies among the dead letters, from where an operator can have it told again: 27 hours.
MOST_ATTEMPTS = 30
# What a host may ask for by Retry-After: more would be a day of silence by one slip.
MOST_RETRY_AFTER_S = 3600.0

_GONE = 410


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one call."""

    # The HTTP status; None where there was none, or where the host is called by Celery.
    status: int | None = None
    # In a word, where it was in vain.
    reason: str | None = None
    retry_after_s: float | None = None
    # Whether it counts as an attempt: what we put off ourselves does not.
    is_charged: bool = True

    @property
    def is_told(self) -> bool:
        """Whether the host has taken the news."""
        return self.reason is None

    @property
    def is_final(self) -> bool:
        """Whether the host wants to hear no more (the Standard Webhooks' meaning of 410)."""
        return self.status == _GONE


def answer_of(status: int, retry_after: str = "") -> Answer:
    """What an HTTP answer means."""
    if 200 <= status < 300:  # noqa: PLR2004 -- RFC 9110, 15.3: successful
        return Answer(status)
    seconds = float(retry_after) if retry_after.isascii() and retry_after.isdigit() else None
    return Answer(status, f"status_{status}", None if seconds is None else min(seconds, MOST_RETRY_AFTER_S))


def wait_after(answer: Answer, attempts: int) -> float | None:
    """How long until the next attempt; None where there is none.

    Args:
        answer: of the last one.
        attempts: how many were made, this one included.
    """
    if answer.is_final or attempts >= MOST_ATTEMPTS:
        return None
    usual_s = WAITS_S[min(max(attempts, 1), len(WAITS_S)) - 1]
    return max(usual_s, answer.retry_after_s or 0.0) if answer.is_charged else (answer.retry_after_s or usual_s)
