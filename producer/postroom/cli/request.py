"""What `postroom send` reads: the JSON that names a message, the session for it, and what else is asked for.

Owns the shape of that JSON and the telling of its mistakes, as the block's errors. What makes a message or session
details valid is the contract's business; which sessions have names is known to the mailer.
"""

import json
from typing import Any

from postroom.options import SendOptions
from postroom_contract.error_codes import ErrorCode
from postroom_contract.errors import ArgumentException, PostroomError
from postroom_contract.message import EmailMessage
from postroom_contract.refusal import ContractModel
from postroom_contract.session import BasicEmailSessionDetails


class _Options(ContractModel):
    """What may stand beside message and session; the mailer refuses what is wrong with it."""

    close_session: bool | None = None
    send_at: str | None = None
    expires_at: str | None = None
    on_unknown: str | None = None
    on_outcome: str | None = None
    idempotency_key: str | None = None
    receipt_id: str | None = None

    @property
    def may_wait_or_repeat(self) -> bool:
        """Whether it may be anywhere else than in the queue once it was taken in: scheduled, or taken in before."""
        return any(asked is not None for asked in (self.send_at, self.idempotency_key, self.receipt_id))

    @property
    def options(self) -> SendOptions:
        """The same as keyword arguments of `Mailer.send`."""
        return {
            "close_session": self.close_session,
            "send_at": self.send_at,
            "expires_at": self.expires_at,
            "on_unknown": self.on_unknown,
            "on_outcome": self.on_outcome,
            "idempotency_key": self.idempotency_key,
            "receipt_id": self.receipt_id,
        }


class _Detailed(ContractModel):
    # Session details come first: of several mistakes, theirs decides the error's type (the block's order of checks).
    basic_email_session_details: BasicEmailSessionDetails
    email_message: EmailMessage


class _Named(ContractModel):
    session: str
    email_message: EmailMessage


# Pydantic takes the fields of the last base first.
class DetailedRequest(_Options, _Detailed):
    """A message with the details of its session."""

    @property
    def session(self) -> BasicEmailSessionDetails:
        """The details, under the name that a named session has too."""
        return self.basic_email_session_details


class NamedRequest(_Options, _Named):
    """A message with the name of a configured session."""


def read_request(text: bytes) -> DetailedRequest | NamedRequest:
    """Read a request.

    Raises:
        PostroomError: the block's exception for the first mistake, listing all of them.
    """
    asked = _json_object(text)
    has_details = _drop_null(asked, "BasicEmailSessionDetails", "basic_email_session_details")
    has_name = _drop_null(asked, "Session", "session")
    if has_details and has_name:
        raise _refusal("Session", "conflict", "Give either Session, a name, or BasicEmailSessionDetails.")
    if strays := _strays(asked):
        raise _refusal("Input", "wrong_type", f'{" and ".join(strays)} belong inside "EmailMessage": {{...}}.')
    kind = NamedRequest if has_name else DetailedRequest
    # Through JSON once more, because only there does the contract read an attachment's content as base64.
    try:
        return kind.accept_json(json.dumps(asked))
    except PostroomError as refused:
        raise (refused if has_details or has_name else _told_of_names(refused)) from None


def _told_of_names(refused: PostroomError) -> PostroomError:
    """The same error, whose first mistake is that there is no session: most who forget it want one that has a name."""
    hint = "Or give Session, the name of one that POSTROOM_SESSIONS_FILE describes."
    first, *others = refused.mistakes
    mistakes = [{**first, "message": f"{first['message']} {hint}"}, *others]
    return type(refused)(refused.error_code, {**refused.facts, "detail": hint, "mistakes": mistakes})


def _json_object(text: bytes) -> dict[str, Any]:
    try:
        asked = json.loads(text)
    except json.JSONDecodeError as wrong:
        detail = f"It is not valid JSON: {wrong.msg} (line {wrong.lineno}, column {wrong.colno})."
        raise _refusal("Input", "wrong_type", detail) from None
    except (ValueError, RecursionError):  # text that is not UTF-8, numbers or nesting beyond measure
        raise _refusal("Input", "wrong_type", "It is not valid JSON.") from None
    if not isinstance(asked, dict):
        raise _refusal("Input", "wrong_type", "It is JSON, but not an object with EmailMessage in it.")
    return asked


def _strays(asked: dict[str, Any]) -> list[str]:
    """The message's own properties, where there is no message that they could be in."""
    if "EmailMessage" in asked or "email_message" in asked:
        return []
    return [name for name in ("To", "From", "Subject", "Body") if name in asked or name.lower() in asked]


def _drop_null(asked: dict[str, Any], *names: str) -> bool:
    """Tell whether one of the names has a value, and forget those that have none: null is as good as absent."""
    for name in names:
        if asked.get(name, ...) is None:
            del asked[name]
    return any(name in asked for name in names)


def _refusal(what: str, reason: str, detail: str) -> ArgumentException:
    return ArgumentException(ErrorCode.INVALID_ARGUMENT, {"property": what, "reason": reason, "detail": detail})
