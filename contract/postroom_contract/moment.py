"""Points in time as a caller gives them: with a time zone or not at all.

Owns the one rule for `send_at` and `expires_at`: an ISO 8601 text or a datetime, never naive, never guessed. A mailer that
guesses sends at once, or an hour off when the clocks change. What the times mean is the delivery's business.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import BeforeValidator

from postroom_contract.error_codes import ErrorCode
from postroom_contract.refusal import refuse


def read_moment(value: object) -> datetime | None:
    """A point in time, in UTC.

    Raises:
        PydanticCustomError: it cannot be read, or does not say how far it is from UTC.
    """
    if value is None:
        return None
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise refuse(ErrorCode.INVALID_ARGUMENT, "unreadable_time") from None
    if not isinstance(value, datetime):
        raise refuse(ErrorCode.INVALID_ARGUMENT, "unreadable_time")
    if value.utcoffset() is None:
        raise refuse(ErrorCode.INVALID_ARGUMENT, "naive_time")
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise refuse(ErrorCode.INVALID_ARGUMENT, "unreadable_time") from None


Moment = Annotated[datetime, BeforeValidator(read_moment)]
