"""What the replies to one attempt mean for each recipient, and for the delivery as a whole.

Owns the way from a transaction's report to an outcome: who was accepted, refused or put off, who may have got it, and
the precedence of states. Whether a failure is worth a retry is asked of `verdict`; nothing here sends or waits.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from postroom_contract.delivery import Delivery, Progress
from postroom_contract.error_codes import ErrorCode
from postroom_contract.errors import (
    EmailSessionException,
    IOException,
    PostroomError,
    SmtpCommandException,
    UnknownOutcomeException,
    make_error,
)
from postroom_contract.outcome import Failed, Outcome, Partial, Refusal, Report, Sent, Unknown, report_of_error
from postroom_worker.verdict import Retry, judge

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from postroom_worker.smtp import Answer, TransactionReport


# Replies that want TLS or a login before anything else (RFC 4954 section 6, RFC 3207 section 4).
ACCESS_FIRST = frozenset({530, 538})
# What a person calls the end of the message.
SPOKEN = {".": "the message"}


@dataclass(frozen=True, slots=True)
class Again:
    """The wish to be called again: when, why, and with what progress."""

    after_s: float
    error: PostroomError
    progress: Progress


@dataclass(slots=True)
class Attempt:
    """What one attempt has learned so far."""

    delivery: Delivery
    progress: Progress
    # The queue gave this message out before and never heard of it again: nobody knows what became of that attempt.
    redelivered: bool = False
    accepted: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    # Why each of the others did not get it.
    errors: dict[str, PostroomError] = field(default_factory=dict)

    def failed(self, error: PostroomError) -> None:
        """Take an error that stands for everybody not decided yet."""
        for recipient in self.undecided():
            self.errors[recipient] = error

    def undecided(self) -> tuple[str, ...]:
        """The recipients about whom this attempt has learned nothing."""
        known = {*self.accepted, *self.unknown, *self.errors}
        remaining = self.progress.remaining(self.delivery.message.recipients)
        return tuple(recipient for recipient in remaining if recipient not in known)


def learn(attempt: Attempt, report: TransactionReport) -> None:
    """Take from a transaction's report what it says of each recipient it was tried for."""
    for recipient in report.recipients:
        answer = report.answer_for(recipient)
        if recipient in report.accepted:
            attempt.accepted.append(recipient)
        elif recipient in report.in_doubt:
            attempt.unknown.append(recipient)
        elif answer is not None:
            attempt.errors[recipient] = refused(answer, report)
        elif report.lost is not None:
            attempt.errors[recipient] = report.lost


def conclude(attempt: Attempt, *, now: datetime, random: Callable[[], float]) -> Outcome | Again:
    """The outcome of the delivery, or the wish to try again for those who may still succeed."""
    earlier = attempt.progress
    # Whom nothing was learned about, because the worker was told to stop between two transactions: nobody is forgotten.
    attempt.failed(IOException(ErrorCode.CONNECTION_LOST, {"reason": "interrupted", "retryable": True}))
    first_failed_at = earlier.first_failed_at or now
    refusals = dict(earlier.refused)
    spent: list[PostroomError] = []
    retries: list[tuple[Retry, PostroomError]] = []
    for recipient, error in attempt.errors.items():
        verdict = judge(error, earlier.charged, first_failed_at, now, random)
        if isinstance(verdict, Retry):
            retries.append((verdict, error))
            continue
        spent.append(error)
        if error.smtp_code is not None and error.facts.get("command") == "RCPT":
            text = str(error.facts.get("text") or "")
            refusals[recipient] = Refusal(code=error.smtp_code, enhanced=error.enhanced_code, text=text)
    progress = Progress(
        attempts=earlier.attempts + 1,
        charged=_charge(earlier.charged, retries),
        first_failed_at=first_failed_at if retries else earlier.first_failed_at,
        accepted=(*earlier.accepted, *attempt.accepted),
        refused=refusals,
        unknown=(*earlier.unknown, *attempt.unknown),
        possible_duplicate=earlier.possible_duplicate or attempt.redelivered,
        # The first final refusal is kept: a later attempt sends to others and would not know of it.
        error=earlier.error or (report_of_error(spent[0]) if spent else None),
    )
    if retries:
        # The longest of the waits: coming back too early only lengthens a greylist.
        verdict, error = max(retries, key=lambda retry: retry[0].after_s)
        return Again(verdict.after_s, error, progress)
    return _outcome(attempt.delivery, progress)


def refused(answer: Answer, report: TransactionReport) -> PostroomError:
    """The error for a negative reply: 4yz may succeed later, 5yz will not (RFC 5321 section 4.2.1)."""
    command, reply = answer
    facts = reply.facts() | {"command": SPOKEN.get(command, command), "retryable": reply.is_transient}
    # 530 says "log in first" and "begin TLS first" alike; what this session lacks tells which (RFC 4954 section 6).
    if reply.code in ACCESS_FIRST and not report.is_encrypted:
        return EmailSessionException(ErrorCode.SSL_REQUIRED, facts)
    if reply.code in ACCESS_FIRST and not report.is_authenticated:
        return EmailSessionException(ErrorCode.INVALID_USER_CREDENTIALS, facts)
    return SmtpCommandException(ErrorCode.COMMAND_REFUSED, facts)


def _charge(charged: dict[str, int], retries: list[tuple[Retry, PostroomError]]) -> dict[str, int]:
    classes = {verdict.charged_to.value for verdict, _ in retries}
    return {**charged, **{name: charged.get(name, 0) + 1 for name in classes}}


def _outcome(delivery: Delivery, progress: Progress) -> Outcome:
    """The final state: any unknown makes it unknown; then all, some or none accepted."""
    everybody = len(progress.accepted) == len(delivery.message.recipients)
    error = None if everybody or progress.error is None else progress.error
    if progress.unknown:
        error = report_of_error(UnknownOutcomeException(ErrorCode.UNKNOWN_OUTCOME, {}))
    kind = Unknown if progress.unknown else Sent if everybody else Partial if progress.accepted else Failed
    report = Report(
        message_id=delivery.message_id,
        accepted=progress.accepted,
        refused=progress.refused,
        unknown=progress.unknown,
        attempts=progress.attempts,
        possible_duplicate=progress.possible_duplicate,
        error=error,
    )
    return kind(delivery.id, None if error is None else error["code"], report=report)


def public(error: PostroomError) -> PostroomError:
    """The error without anything personal: what Celery may store, log and show while the delivery is retried."""
    return make_error(error.error_code, error.public_facts())
