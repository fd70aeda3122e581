"""One recurring mail: when it is due, what it says, and by which id each of its deliveries is known.

Owns the derivation of the id from entry and slot, which is what makes two beats send once. How entries are written is
`schedule_file`'s, and when they are sent is `agenda`'s.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from typing import Any

from postroom.beat.slots import Rhythm, Slot
from postroom.beat.template import fill, words_of
from postroom.options import SendOptions
from postroom_contract.message import EmailMessage

# Of our own making, and never to be changed: ids of slots are derived from it by every version.
_NAMESPACE = uuid.UUID("5c1fb0a4-93d1-4f0e-9d0b-6f3f5a0e7c21")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A recurring mail."""

    name: str
    rhythm: Rhythm
    zone: tzinfo
    session: str
    # The block's JSON for the message; with words to be filled where `is_template`.
    message: Mapping[str, Any] = field(repr=False)
    is_template: bool = False
    values: Mapping[str, str] = field(default_factory=dict, repr=False)
    # How late a slot that was missed may still be sent.
    catch_up: timedelta
    # How long after its slot a mail is not worth sending any more.
    expires_after: timedelta | None = None
    options: SendOptions = field(default_factory=SendOptions)
    # Whether it is sent; one that is not is done all the same, so that nothing was missed when it is switched on again.
    is_enabled: bool = True

    def delivery_id(self, slot: Slot) -> str:
        """The id of the delivery for a slot: the same wherever, and however often, it is worked out."""
        return str(uuid.uuid5(_NAMESPACE, f"{self.name}\n{slot.label}"))

    def words(self, slot: Slot) -> dict[str, str]:
        """What the words of a template say for a slot."""
        return {**words_of(self.name, self.local(slot)), **self.values}

    def message_for(self, slot: Slot) -> EmailMessage:
        """The message for a slot.

        Raises:
            PostroomError: the block's exception, where it is no valid one.
        """
        told = fill(self.message, self.words(slot)) if self.is_template else self.message
        # Through JSON, because only there does the contract read an attachment's content as base64.
        return EmailMessage.accept_json(json.dumps(told, default=str))

    def options_for(self, slot: Slot) -> SendOptions:
        """What goes with it."""
        options: SendOptions = {**self.options, "receipt_id": self.delivery_id(slot)}
        if self.expires_after is not None:
            options["expires_at"] = slot.at + self.expires_after
        return options

    def local(self, slot: Slot) -> datetime:
        """When a slot is, on the clocks of the entry's zone."""
        return slot.at.astimezone(self.zone)
