"""The delivery: what one task carries through the queue, sealed, and what its earlier attempts achieved.

Owns the sealed payload (message, session details, the wishes that go with it, time of acceptance) and the sealed
progress that a retry brings along. Both are bound to the delivery's id, so that neither can be moved to another task.
Publishing and sending must not live here.
"""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import AliasChoices, BeforeValidator, Field, field_validator, model_validator

from postroom_contract.destination import check_wish, seal_destination
from postroom_contract.error_codes import ErrorCode
from postroom_contract.message import EmailMessage
from postroom_contract.moment import Moment
from postroom_contract.outcome import Refusal
from postroom_contract.refusal import ContractModel, refuse
from postroom_contract.session import BasicEmailSessionDetails

if TYPE_CHECKING:
    from postroom_contract.sealing import Keyring


class OnUnknown(StrEnum):
    """What to do about a message that may have been delivered: the server took its last byte and never answered."""

    RESEND = "resend"  # once, with the same Message-ID; the outcome then says `possible_duplicate`
    HOLD = "hold"  # until an operator decides


def _read_on_unknown(value: object) -> object:
    if value is not None and value not in tuple(OnUnknown):
        detail = f"It is {' or '.join(OnUnknown)}."
        raise refuse(ErrorCode.INVALID_ARGUMENT, "unknown_value", detail=detail)
    return OnUnknown.RESEND if value is None else value


class Delivery(ContractModel):
    """One message on its way: who asked for what, when."""

    # Session details come first: of several mistakes, theirs decides the error's type (the block's order of checks).
    session: BasicEmailSessionDetails
    message: EmailMessage
    close_session: bool = False
    on_unknown: Annotated[OnUnknown, BeforeValidator(_read_on_unknown)] = OnUnknown.RESEND
    # Not sent before this; null means at once.
    send_at: Moment | None = None
    # Not sent at or after this; null means never too late.
    expires_at: Moment | None = None
    # Who is told of its end, as `destination` has it; null means nobody.
    on_outcome: Annotated[str | None, BeforeValidator(check_wish)] = None
    # A caller who hands one in knows it as the receipt's, and so do its mistakes.
    id: str = Field(
        default_factory=lambda: str(uuid.uuid4()),
        validation_alias=AliasChoices("Id", "ReceiptId"),
        serialization_alias="Id",
    )
    accepted_at: datetime = Field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))

    @field_validator("id")
    @classmethod
    def _an_id(cls, delivery_id: str) -> str:
        # It becomes part of Redis keys and of the Message-ID, so a caller cannot choose its letters.
        try:
            is_uuid = str(uuid.UUID(delivery_id)) == delivery_id
        except ValueError:
            is_uuid = False
        if not is_uuid:
            raise refuse(ErrorCode.INVALID_ARGUMENT, "wrong_type", detail="A receipt's id is a UUID.")
        return delivery_id

    @model_validator(mode="after")
    def _in_time(self) -> Self:
        if self.send_at is not None and self.expires_at is not None and self.expires_at <= self.send_at:
            raise refuse(ErrorCode.INVALID_ARGUMENT, "conflict", at="expires_at", detail="It lies before SendAt.")
        return self

    def seal(self, keyring: Keyring) -> str:
        """The payload for the queue."""
        return keyring.seal(self.model_dump_json(by_alias=True, exclude_none=True).encode(), _place("payload", self.id))

    @classmethod
    def open(cls, sealed: str, delivery_id: str, keyring: Keyring) -> Delivery:
        """The delivery that a payload holds.

        Raises:
            SealException: the payload was sealed with an unknown key, or for another delivery.
        """
        return cls.accept_json(keyring.open(sealed, _place("payload", delivery_id)))

    def fingerprints(self, keyring: Keyring) -> tuple[str, ...]:
        """Keyed hashes of what is asked for, one by each key of the ring, the sealing key's first.

        Two deliveries share one when they ask for the same mail. Encrypted texts are left out: the same password is
        another text each time it is encrypted, and all of them open for one server and user only. Who is told of the end
        is left out too: it is no part of the mail, and a setting may have changed between a call and its repetition.
        """
        left_out = {"id", "accepted_at", "session", "on_outcome"}
        asked = self.model_dump(mode="json", by_alias=True, exclude=left_out, exclude_none=True)
        return keyring.digests(json.dumps([asked, self.session.clear_place], sort_keys=True), "payload")

    def seal_destination(self, keyring: Keyring) -> str:
        """Who is told of the end, sealed; empty where nobody is."""
        return "" if self.on_outcome is None else seal_destination(self.on_outcome, self.id, keyring)

    @property
    def message_id(self) -> str:
        """The Message-ID header: the caller's, or made of the delivery's id, so that every attempt has the same."""
        return self.message.message_id or f"<{self.id}@{self.message.from_.domain}>"

    def __repr__(self) -> str:
        """Show the id only."""
        return f"Delivery({self.id})"


class Progress(ContractModel):
    """What the attempts so far achieved; a retry sends only to those about whom nothing is decided."""

    attempts: int = 0
    # Attempts charged to each class of failure, as the worker's verdict table names them.
    charged: dict[str, int] = Field(default_factory=dict)
    first_failed_at: datetime | None = None
    accepted: tuple[str, ...] = ()
    refused: dict[str, Refusal] = Field(default_factory=dict)
    # Recipients of a message that was handed over whole and never answered for, for good.
    unknown: tuple[str, ...] = ()
    # The same, but they are sent to once more: whatever becomes of that, they may have got the message before.
    in_doubt: tuple[str, ...] = ()
    # Whether a recipient may have got the message twice.
    possible_duplicate: bool = False
    # Why the first of those who will not get it will not: `{"code", "facts"}`.
    error: dict[str, Any] | None = None

    def seal(self, delivery_id: str, keyring: Keyring) -> str:
        """The progress for the next attempt."""
        return keyring.seal(self.model_dump_json(by_alias=True).encode(), _place("progress", delivery_id))

    @classmethod
    def open(cls, sealed: str | None, delivery_id: str, keyring: Keyring) -> Progress:
        """The progress of earlier attempts; none before the first."""
        return cls() if sealed is None else cls.accept_json(keyring.open(sealed, _place("progress", delivery_id)))

    def remaining(self, recipients: tuple[str, ...]) -> tuple[str, ...]:
        """Those of the recipients who may still be sent to."""
        done = {*self.accepted, *self.refused, *self.unknown}
        return tuple(recipient for recipient in recipients if recipient not in done)

    def __repr__(self) -> str:
        """Show counts only."""
        return f"Progress(attempts={self.attempts}, accepted={len(self.accepted)}, refused={len(self.refused)})"


def _place(use: str, delivery_id: str) -> dict[str, Any]:
    return {"use": use, "id": delivery_id}
