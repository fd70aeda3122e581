"""What the replies to one attempt mean for each recipient, and for the delivery as a whole.

Owns the way from a transaction's report to an outcome: who was accepted, refused or put off, who may have got it, and
the precedence of states. Whether a failure is worth a retry is asked of `verdict`; nothing here sends or waits.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from postroom_contract.delivery import Delivery, OnUnknown, Progress
from postroom_contract.ending import end
from postroom_contract.error_codes import ErrorCode
from postroom_contract.errors import (
    EmailSessionException,
    ExpiredException,
    IOException,
    PostroomError,
    SmtpCommandException,
    UnknownOutcomeException,
    make_error,
)
from postroom_contract.outcome import Outcome, Refusal, report_of_error
from postroom_worker.verdict import RESEND_AFTER_S, Retry, judge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
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


@dataclass(frozen=True, slots=True)
class Hold:
    """The wish to wait for an operator's word, because somebody may have got the message."""

    error: PostroomError
    progress: Progress


@dataclass(slots=True)
class Attempt:
    """What one attempt has learned so far."""

    delivery: Delivery
    progress: Progress
    # Somebody who may have got it before was sent to once more, or the queue that gave it out has no ledger to ask.
    possible_duplicate: bool = False
    # An earlier attempt left recipients in doubt without a chance to say what then: its worker died.
    found_in_doubt: bool = False
    # The ledger has been asked to note a commit: it has to hear how this attempt ended.
    is_noted: bool = False
    accepted: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    # Why each of the others did not get it.
    errors: dict[str, PostroomError] = field(default_factory=dict)

    def failed(self, error: PostroomError) -> None:
        """Take an error that stands for everybody not decided yet."""
        for recipient in self.undecided():
            self.errors[recipient] = error

    @property
    def has_learned(self) -> bool:
        """Whether this attempt has found out anything about anybody."""
        return bool(self.accepted or self.unknown or self.errors)

    def undecided(self) -> tuple[str, ...]:
        """The recipients about whom this attempt has learned nothing."""
        known = {*self.accepted, *self.unknown, *self.errors}
        remaining = self.progress.remaining(self.delivery.message.recipients)
        return tuple(recipient for recipient in remaining if recipient not in known)


def learn(attempt: Attempt, report: TransactionReport) -> None:
    """Take from a transaction's report what it says of each recipient it was tried for."""
    # What the server refused with its last word it has not delivered: nobody has got it twice.
    may_have_got_it = {*report.accepted, *report.in_doubt}
    attempt.possible_duplicate |= not may_have_got_it.isdisjoint(attempt.progress.in_doubt)
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


def if_silent(attempt: Attempt, admitted: Iterable[str]) -> Progress:
    """What is known if nothing more is heard of this attempt: the admitted recipients may have got the message."""
    earlier, in_doubt = attempt.progress, tuple(admitted)
    is_second_doubt = {*in_doubt} & {*earlier.in_doubt}
    return earlier.model_copy(
        update={
            "attempts": earlier.attempts + 1,
            "accepted": (*earlier.accepted, *attempt.accepted),
            "unknown": (*earlier.unknown, *attempt.unknown, *(who for who in in_doubt if who in is_second_doubt)),
            "in_doubt": (*earlier.in_doubt, *(who for who in in_doubt if who not in is_second_doubt)),
            "possible_duplicate": earlier.possible_duplicate or attempt.possible_duplicate or bool(is_second_doubt),
        }
    )


def conclude(attempt: Attempt, *, now: datetime, random: Callable[[], float]) -> Outcome | Again | Hold:
    """The outcome of the delivery, or the wish to try again for those who may still succeed, or to ask an operator."""
    earlier, delivery = attempt.progress, attempt.delivery
    # Whom nothing was learned about, because the worker was told to stop between two transactions: nobody is forgotten.
    attempt.failed(IOException(ErrorCode.CONNECTION_LOST, {"reason": "interrupted", "retryable": True}))
    first_failed_at = earlier.first_failed_at or now
    refusals = dict(earlier.refused)
    spent: list[PostroomError] = []
    retries: list[tuple[Retry, PostroomError]] = []
    # Once in doubt, nobody is failed: what did not succeed now may have succeeded before.
    unknown = [recipient for recipient in attempt.unknown if recipient in earlier.in_doubt]
    in_doubt = [recipient for recipient in attempt.unknown if recipient not in earlier.in_doubt]
    for recipient, error in attempt.errors.items():
        verdict = judge(error, earlier.charged, first_failed_at, now, random)
        if isinstance(verdict, Retry):
            retries.append((verdict, error))
        elif recipient in earlier.in_doubt:
            unknown.append(recipient)
        else:
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
        unknown=(*earlier.unknown, *unknown),
        in_doubt=(*earlier.in_doubt, *in_doubt),
        possible_duplicate=earlier.possible_duplicate or attempt.possible_duplicate,
        # The first final refusal is kept: a later attempt sends to others and would not know of it.
        error=earlier.error or (report_of_error(spent[0]) if spent else None),
    )
    if in_doubt and delivery.on_unknown is OnUnknown.HOLD:
        return Hold(UnknownOutcomeException(ErrorCode.UNKNOWN_OUTCOME, {}), progress)
    waits = [(retry.after_s, error) for retry, error in retries]
    if in_doubt:
        waits.append((RESEND_AFTER_S, UnknownOutcomeException(ErrorCode.UNKNOWN_OUTCOME, {})))
    if not waits:
        return _end(delivery, progress)
    # The longest of the waits: coming back too early only lengthens a greylist.
    after_s, error = max(waits, key=lambda wait: wait[0])
    if delivery.expires_at is not None and now.timestamp() + after_s >= delivery.expires_at.timestamp():
        expired = report_of_error(ExpiredException(ErrorCode.EXPIRED, {}))
        return _end(delivery, progress.model_copy(update={"error": progress.error or expired}))
    return Again(after_s, error, progress)


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


def _end(delivery: Delivery, progress: Progress) -> Outcome:
    recipients = len(delivery.message.recipients)
    return end(delivery.id, progress, recipients=recipients, message_id=delivery.message_id)


def public(error: PostroomError) -> PostroomError:
    """The error without anything personal: what Celery may store, log and show while the delivery is retried."""
    return make_error(error.error_code, error.public_facts())
