"""What a delivery ends as, by what is known of its recipients.

Owns the precedence of the final states. The worker concludes by it; so does a producer that calls a delivery back, and an
operator who gives one up. Why somebody was not sent to is told by the error that comes with the progress.
"""

from __future__ import annotations

from postroom_contract.delivery import Progress
from postroom_contract.error_codes import ErrorCode
from postroom_contract.errors import UnknownOutcomeException
from postroom_contract.outcome import (
    Cancelled,
    Expired,
    Failed,
    Outcome,
    Partial,
    Report,
    Sent,
    Unknown,
    report_of_error,
)

_NOBODY_WAS_SENT_TO = {ErrorCode.CANCELLED: Cancelled, ErrorCode.EXPIRED: Expired}


def end(
    delivery_id: str, progress: Progress, *, recipients: int | None = None, message_id: str | None = None
) -> Outcome:
    """The outcome: any recipient in doubt makes it unknown; then all, some or none accepted.

    Args:
        delivery_id: which delivery.
        progress: all that is known; nothing more will be.
        recipients: how many there are; None where the caller only knows that somebody is left.
        message_id: the Message-ID header, where it is known.
    """
    accepted = set(progress.accepted)
    unknown = (*progress.unknown, *(recipient for recipient in progress.in_doubt if recipient not in accepted))
    unknown = tuple(dict.fromkeys(unknown))
    everybody = len(accepted) == recipients
    error = None if everybody else progress.error
    kind: type[Outcome] = Sent if everybody else Partial
    if unknown:
        kind, error = Unknown, report_of_error(UnknownOutcomeException(ErrorCode.UNKNOWN_OUTCOME, {}))
    elif not accepted:
        kind = _NOBODY_WAS_SENT_TO.get(ErrorCode((error or {"code": ErrorCode.INTERNAL})["code"]), Failed)
    report = Report(
        message_id=message_id,
        accepted=progress.accepted,
        refused=progress.refused,
        unknown=unknown,
        attempts=progress.attempts,
        possible_duplicate=progress.possible_duplicate,
        error=error,
    )
    return kind(delivery_id, None if error is None else error["code"], report=report)
