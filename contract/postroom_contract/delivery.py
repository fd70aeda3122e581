"""The delivery: what one task carries through the queue, sealed, and what its earlier attempts achieved.

Owns the sealed payload (message, session details, close-session wish, time of acceptance) and the sealed progress that
a retry brings along. Both are bound to the delivery's id, so that neither can be moved to another task. Publishing and
sending must not live here.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pydantic import Field

from postroom_contract.message import EmailMessage
from postroom_contract.outcome import Refusal
from postroom_contract.refusal import ContractModel
from postroom_contract.session import BasicEmailSessionDetails

if TYPE_CHECKING:
    from postroom_contract.sealing import Keyring


class Delivery(ContractModel):
    """One message on its way: who asked for what, when."""

    # Session details come first: of several mistakes, theirs decides the error's type (the block's order of checks).
    session: BasicEmailSessionDetails
    message: EmailMessage
    close_session: bool = False
    id: str = Field(default_factory=lambda: str(uuid.uuid4()))
    accepted_at: datetime = Field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))

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
    # Recipients of a message that was handed over whole and never answered for.
    unknown: tuple[str, ...] = ()
    # Whether an attempt may have sent it and left no word: a worker that died, a message that was delivered twice.
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
