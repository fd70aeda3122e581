"""What a caller may ask for beside message and session.

Owns the keyword arguments of `Mailer.send`, once for all who take them (`Mailer`, its test double, the command line) and hand
them on. What each means for a delivery is the contract's business.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TypedDict

from postroom_contract.delivery import OnUnknown
from postroom_contract.error_codes import ErrorCode
from postroom_contract.errors import ArgumentException
from postroom_contract.moment import Moment
from postroom_contract.refusal import ContractModel
from postroom_contract.text import has_surrogates

# What the mail providers with idempotency keys take (Resend).
MOST_KEY_CHARACTERS = 256


class SendOptions(TypedDict, total=False):
    """Each may be left out or null.

    close_session: end the session after this message; null means false, as in the block.
    send_at: not before this time: an aware datetime, or ISO 8601 text with an offset.
    expires_at: not at or after this time; the outcome is then `Expired`.
    on_unknown: what to do when the server took the last byte and never answered: `"resend"` it once with the same
        Message-ID, which the outcome then tells (`possible_duplicate`), or `"hold"` it until an operator decides.
    on_outcome: who is told of the end: `"celery:shop.tasks.mail_ended"`, a URL, or `"none"`; null means what
        POSTROOM_ON_OUTCOME says.
    idempotency_key: for a day, sending with the same key gives the first receipt and sends nothing.
    receipt_id: the id from a `BrokerUnavailable`, to send the same message again without doubling it.
    """

    close_session: bool | None
    send_at: datetime | str | None
    expires_at: datetime | str | None
    on_unknown: OnUnknown | str | None
    on_outcome: str | None
    idempotency_key: str | None
    receipt_id: str | None


def check_names(names: Iterable[str]) -> None:
    """Return if all of them are options: a misspelt `send_at` that went unheard would send at once.

    Raises:
        TypeError: one is none, as of any function that is called with a keyword it does not have.
    """
    for name in names:
        if name not in SendOptions.__annotations__:
            raise TypeError(f"send() has no keyword {name!r}; it has {', '.join(SendOptions.__annotations__)}")


class SendTime(ContractModel):
    """A time to send at."""

    send_at: Moment


def check_time(send_at: object) -> datetime:
    """The time, in UTC.

    Raises:
        PostroomError: it is none, cannot be read, or is naive.
    """
    return SendTime.accept({"send_at": send_at}).send_at


def check_key(key: object) -> str | None:
    """The idempotency key.

    Raises:
        ArgumentException: it is none.
    """
    if key is None:
        return None
    if isinstance(key, str) and 0 < len(key) <= MOST_KEY_CHARACTERS and not has_surrogates(key):
        return key
    detail = f"A key is a text of 1 to {MOST_KEY_CHARACTERS} characters."
    facts = {"property": "IdempotencyKey", "reason": "wrong_type", "detail": detail}
    raise ArgumentException(ErrorCode.INVALID_ARGUMENT, facts)
