"""The message to send, as the block describes it, with what a mail needs beyond the block.

Owns the fields of `EmailMessage`, their defaults and caps. Which headers a caller may add is `headers`' business; how the message
looks on the wire is the composer's, and how it travels through the queue is `delivery`'s.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Self, TypeAlias, TypeVar

from pydantic import AliasChoices, BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from postroom_contract.address import EmailAddress
from postroom_contract.attachment import MOST_ATTACHMENT_BYTES, Attachment
from postroom_contract.error_codes import ErrorCode
from postroom_contract.headers import check_headers
from postroom_contract.refusal import ContractModel, refuse
from postroom_contract.text import has_control_characters, has_surrogates, looks_encoded

# More than any provider takes for one message (Exchange Online: 1,000 per message); larger lists are a bulk send.
MOST_RECIPIENTS = 1000
# A list of attachments longer than this is a folder; send an archive.
MOST_ATTACHMENTS = 100
# RFC 5322 section 2.1.1 lets a folded header be any length; mail programs show some 200 characters of a subject.
MOST_SUBJECT_CHARACTERS = 2000
# Gmail clips a message at 102 kB; a hundred times that is not a text any more.
MOST_BODY_BYTES = 10 * 1000 * 1000

# RFC 5322 section 3.6.4, without the obsolete forms and comments.
_MESSAGE_ID = re.compile(r"<[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,200}@[A-Za-z0-9.\[\]:-]{1,200}>")


class EmailMessagePriority(IntEnum):
    """How urgent the message is; also chooses the queue it waits in."""

    Normal = 0
    NonUrgent = 1
    Urgent = 2


class EmailMessageBodyFormat(IntEnum):
    """What `body` is."""

    Text = 0
    Html = 1


EnumMember = TypeVar("EnumMember", bound=IntEnum)


def _member_of(enum: type[EnumMember]) -> BeforeValidator:
    """Accept a member, its number, its name, or `"Enum.Name"`; null means the first (the block's default)."""

    def read(value: object) -> EnumMember:
        if value is None:
            return enum(0)
        if isinstance(value, str):
            name = value.removeprefix(f"{enum.__name__}.")
            if name in enum.__members__:
                return enum[name]
        elif isinstance(value, int) and not isinstance(value, bool) and value in enum.__members__.values():
            return enum(value)
        raise refuse(ErrorCode.INVALID_ARGUMENT, "unknown_value", detail=f"Use one of {', '.join(enum.__members__)}.")

    return BeforeValidator(read)


def _list_of(value: object) -> object:
    """Null means none; one address or attachment may stand for a list of one."""
    if value is None:
        return ()
    return (value,) if isinstance(value, (str, Mapping, ContractModel)) else value


Item = TypeVar("Item")
Given: TypeAlias = Item | Sequence[Item]
Recipients = Annotated[tuple[EmailAddress, ...], BeforeValidator(_list_of)]


class EmailMessage(ContractModel):
    """What to send, from whom, to whom."""

    # Express wish for a mail that shows nobody in To, which may then be empty: Cc or Bcc names the recipients. It stands
    # first because it decides how To is judged; null (or false) leaves the block's rule alone.
    undisclosed: Annotated[Literal[True] | None, BeforeValidator(lambda value: value or None)] = None
    to: Annotated[tuple[EmailAddress, ...], BeforeValidator(lambda value: value if value is None else _list_of(value))]
    from_: EmailAddress = Field(validation_alias=AliasChoices("From", "from"), serialization_alias="From")
    cc: Recipients = ()
    bcc: Recipients = ()
    priority: Annotated[EmailMessagePriority, _member_of(EmailMessagePriority)] = EmailMessagePriority.Normal
    subject: str | None = None
    body_format: Annotated[EmailMessageBodyFormat, _member_of(EmailMessageBodyFormat)] = EmailMessageBodyFormat.Text
    body: str | None = None
    attachments: Annotated[tuple[Attachment, ...], BeforeValidator(_list_of)] = ()

    html_body: str | None = None
    reply_to: Recipients = ()
    headers: Mapping[str, str] = Field(default_factory=dict)
    envelope_from: EmailAddress | None = None
    message_id: str | None = None

    if TYPE_CHECKING:
        # What may be given is wider than what is held: plain strings for addresses, any sequence for a list.
        def __init__(  # noqa: PLR0913 -- a message has these parts
            self,
            *,
            undisclosed: bool | None = None,
            to: Given[EmailAddress | str],
            from_: EmailAddress | str,
            cc: Given[EmailAddress | str] | None = None,
            bcc: Given[EmailAddress | str] | None = None,
            priority: EmailMessagePriority | int | str | None = None,
            subject: str | None = None,
            body_format: EmailMessageBodyFormat | int | str | None = None,
            body: str | None = None,
            attachments: Given[Attachment | str | Path] | None = None,
            html_body: str | None = None,
            reply_to: Given[EmailAddress | str] | None = None,
            headers: Mapping[str, str] | None = None,
            envelope_from: EmailAddress | str | None = None,
            message_id: str | None = None,
        ) -> None: ...

    @field_validator("to")
    @classmethod
    def _someone(cls, to: tuple[EmailAddress, ...], info: ValidationInfo) -> tuple[EmailAddress, ...]:
        if not to and not info.data.get("undisclosed"):
            raise refuse(ErrorCode.EMPTY_PROPERTY)
        return to

    @field_validator("subject")
    @classmethod
    def _one_line(cls, subject: str | None) -> str | None:
        if subject is not None and has_control_characters(subject):
            raise refuse(ErrorCode.INVALID_ARGUMENT, "control_characters")
        if subject is not None and len(subject) > MOST_SUBJECT_CHARACTERS:
            raise refuse(ErrorCode.INVALID_ARGUMENT, "too_long", limit=MOST_SUBJECT_CHARACTERS)
        return subject

    @field_validator("body", "html_body")
    @classmethod
    def _writable(cls, body: str | None) -> str | None:
        if body is not None and has_surrogates(body):
            raise refuse(ErrorCode.INVALID_ARGUMENT, "control_characters")
        if body is not None and len(body.encode()) > MOST_BODY_BYTES:
            raise refuse(ErrorCode.MESSAGE_TOO_LARGE, "too_large", limit=MOST_BODY_BYTES)
        return body

    @field_validator("attachments")
    @classmethod
    def _not_too_much(cls, attachments: tuple[Attachment, ...]) -> tuple[Attachment, ...]:
        if len(attachments) > MOST_ATTACHMENTS:
            raise refuse(ErrorCode.INVALID_ARGUMENT, "too_many", limit=MOST_ATTACHMENTS)
        if sum(len(attachment.content or b"") for attachment in attachments) > MOST_ATTACHMENT_BYTES:
            raise refuse(ErrorCode.MESSAGE_TOO_LARGE, "too_large", limit=MOST_ATTACHMENT_BYTES)
        return attachments

    @field_validator("headers", mode="before")
    @classmethod
    def _no_headers(cls, headers: object) -> object:
        return {} if headers is None else headers

    @field_validator("headers")
    @classmethod
    def _allowed(cls, headers: Mapping[str, str]) -> Mapping[str, str]:
        return check_headers(headers)

    @field_validator("message_id")
    @classmethod
    def _an_id(cls, message_id: str | None) -> str | None:
        if message_id is not None and (not _MESSAGE_ID.fullmatch(message_id) or looks_encoded(message_id)):
            raise refuse(ErrorCode.INVALID_ARGUMENT, "wrong_type", detail="Write it as <left@right>.")
        return message_id

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.html_body is not None and self.body_format is EmailMessageBodyFormat.Html:
            detail = "It stands beside a text Body: leave BodyFormat at Text."
            raise refuse(ErrorCode.INVALID_ARGUMENT, "conflict", at="HtmlBody", detail=detail)
        if self.undisclosed and self.to:
            raise refuse(ErrorCode.INVALID_ARGUMENT, "conflict", at="Undisclosed", detail="Then To is empty.")
        if not self.recipients:
            raise refuse(ErrorCode.EMPTY_PROPERTY, at="Bcc")
        if len(self.recipients) > MOST_RECIPIENTS:
            detail = f"To, Cc and Bcc together name more than {MOST_RECIPIENTS} recipients."
            raise refuse(ErrorCode.INVALID_ARGUMENT, "too_many", at="To", limit=MOST_RECIPIENTS, detail=detail)
        return self

    @property
    def recipients(self) -> tuple[str, ...]:
        """Every envelope recipient once, as its wire form: To, Cc and Bcc in that order."""
        return tuple(dict.fromkeys(address.wire for address in (*self.to, *self.cc, *self.bcc)))

    @property
    def sender(self) -> EmailAddress:
        """The envelope's sender (RFC 5321 MAIL FROM): bounces go there."""
        return self.envelope_from or self.from_

    @property
    def text(self) -> str | None:
        """The plain text body, if there is one."""
        return self.body if self.body_format is EmailMessageBodyFormat.Text else None

    @property
    def html(self) -> str | None:
        """The HTML body, if there is one."""
        return self.html_body if self.body_format is EmailMessageBodyFormat.Text else self.body

    def __repr__(self) -> str:
        """Say how many, never who or what."""
        return f"EmailMessage({len(self.recipients)} recipients, {len(self.attachments)} attachments)"
