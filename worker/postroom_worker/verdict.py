"""What to do about a failure: one table, by class of failure and by how often it has happened.

Owns the decision retry, fail or unknown for every error and every reply, with the retry defaults. It is pure: time and
chance are arguments, nothing is sent, stored or awaited here. Errors and replies carry the facts; nobody else decides.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from postroom_contract.error_codes import ErrorCode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from postroom_contract.errors import PostroomError


class FailureClass(StrEnum):
    """Kinds of failure that are treated alike."""

    PERMANENT = "permanent"
    CONNECTION = "connection"
    DEFERRED = "deferred"
    GREYLISTED = "greylisted"
    THROTTLED = "throttled"
    LOCAL = "local"
    BROKER = "broker"
    AMBIGUOUS = "ambiguous"


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How a class of failures is retried: `base_s` doubling up to `cap_s`, for so many attempts or so long."""

    base_s: float
    cap_s: float
    most_attempts: int | None = None
    give_up_after: timedelta | None = None
    # Waits are spread by this share in both directions, so that what failed together does not come back together.
    jitter: float = 0.25


@dataclass(frozen=True, slots=True)
class Retry:
    """Try again after so many seconds; `charged_to` is the class whose budget the attempt is taken from."""

    after_s: float
    charged_to: FailureClass


@dataclass(frozen=True, slots=True)
class Fail:
    """Give up: the failure is permanent, or its retries are spent."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nobody can say whether the message was delivered; what then, the sender has said (`on_unknown`)."""


Verdict = Retry | Fail | Unknown

DAY = timedelta(hours=24)

POLICIES: Mapping[FailureClass, RetryPolicy] = {
    # A server that restarts is back within seconds; one that is gone should be told to the sender soon.
    FailureClass.CONNECTION: RetryPolicy(base_s=1, cap_s=8, most_attempts=5),
    # RFC 5321 section 4.5.4.1 gives mail servers days; a program that waits for its mail's fate is told after one.
    FailureClass.DEFERRED: RetryPolicy(base_s=30, cap_s=3600, give_up_after=DAY),
    # Greylisting servers take the second try only after about five minutes.
    FailureClass.GREYLISTED: RetryPolicy(base_s=300, cap_s=3600, give_up_after=DAY, jitter=0.1),
    # The provider's limit, not the message's fault: it waits, and no attempt is charged.
    FailureClass.THROTTLED: RetryPolicy(base_s=30, cap_s=900, give_up_after=DAY),
    # This machine is short of sockets or handles. Closed sockets free their ports after a minute (TIME_WAIT), which seven
    # waits outlast; what lasts longer does not pass by itself, and somebody should be told.
    FailureClass.LOCAL: RetryPolicy(base_s=1, cap_s=30, most_attempts=8),
    # Redis was away when the last byte was to leave: not the message's fault, and nothing of it was sent.
    FailureClass.BROKER: RetryPolicy(base_s=1, cap_s=30, give_up_after=DAY),
}

# A message that may have been delivered is sent once more at the earliest after this: a server that broke off is perhaps
# just being restarted, and waiting longer tells nobody more.
RESEND_AFTER_S = 2.0

# RFC 5321 section 3.8 and what Exchange, Gmail and SES answer when they want less (smtp replies 421, 432, 454).
THROTTLING = frozenset({421, 432, 454})
_GREYLIST = re.compile(r"gr[ae]y-?list", re.IGNORECASE)
# Postfix's and Exim's greylisting policies answer 450 or 451 with this enhanced code and no other word in common.
_GREYLIST_REPLIES = frozenset({(450, "4.7.1"), (451, "4.7.1"), (450, "4.2.0"), (451, "4.7.0")})
_NAMED_WAIT = re.compile(r"\b(\d{1,5})\s*(s|sec|secs|seconds?|m|min|mins|minutes?|h|hours?)\b", re.IGNORECASE)
_UNIT_S = {"s": 1, "m": 60, "h": 3600}


def classify(error: PostroomError) -> FailureClass:
    """The class a failure belongs to."""
    if error.error_code == ErrorCode.UNKNOWN_OUTCOME:
        return FailureClass.AMBIGUOUS
    if error.error_code == ErrorCode.LOCAL_RESOURCE:
        return FailureClass.LOCAL
    if error.reason == "broker_away":
        return FailureClass.BROKER
    if not error.retryable:
        return FailureClass.PERMANENT
    if error.smtp_code is None:
        return FailureClass.CONNECTION
    if error.smtp_code in THROTTLING:
        return FailureClass.THROTTLED
    text = str(error.facts.get("text") or "")
    # A recipient's reply only: the same codes to other commands mean that the server is busy.
    at_recipient = error.facts.get("command") == "RCPT"
    if at_recipient and (_GREYLIST.search(text) or (error.smtp_code, error.enhanced_code) in _GREYLIST_REPLIES):
        return FailureClass.GREYLISTED
    return FailureClass.DEFERRED


def judge(
    error: PostroomError,
    charged: Mapping[str, int],
    first_failed_at: datetime,
    now: datetime,
    random: Callable[[], float],
) -> Verdict:
    """What to do about a failure.

    Args:
        error: what failed.
        charged: attempts already charged, by class.
        first_failed_at: when this delivery failed for the first time.
        now: the time.
        random: a number from 0 to 1, for the spread.
    """
    kind = classify(error)
    if kind is FailureClass.AMBIGUOUS:
        return Unknown()
    if kind is FailureClass.PERMANENT:
        return Fail()
    policy = POLICIES[kind]
    failures = charged.get(kind, 0) + 1
    if policy.most_attempts is not None and failures >= policy.most_attempts:
        return Fail()
    if policy.give_up_after is not None and now - first_failed_at >= policy.give_up_after:
        return Fail()
    return Retry(_wait_s(policy, failures, random, named_wait_s(str(error.facts.get("text") or ""))), kind)


def named_wait_s(text: str) -> float | None:
    """The wait that a reply asks for, such as `try again in 5 minutes`; None where it names none."""
    named = _NAMED_WAIT.search(text)
    return None if named is None else float(named[1]) * _UNIT_S[named[2][0].lower()]


def _wait_s(policy: RetryPolicy, failures: int, random: Callable[[], float], named_s: float | None) -> float:
    if named_s is not None:
        # The reply's own wait wins, up to an hour: beyond that it is more likely a number that means something else.
        return min(named_s, 3600.0)
    # The exponent is bounded because 2 to the power of a long outage is not a float any more.
    doubled = policy.base_s * 2.0 ** min(failures - 1, 20)
    spread = 1 + policy.jitter * (2 * random() - 1)
    wait_s = min(doubled, policy.cap_s) * spread
    return max(wait_s, policy.base_s) if policy is POLICIES[FailureClass.GREYLISTED] else wait_s
