"""What one transaction came to: every reply, in its place, and how far it got.

Owns the three things that must never be confused: never sent, refused, and may have been sent. The verdict table reads
this; nothing here decides about retries.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from postroom_contract.errors import PostroomError
from postroom_worker.smtp.reply import Reply


class Phase(StrEnum):
    """How far a transaction has got."""

    IDLE = "idle"
    ENVELOPE = "envelope"  # MAIL, RCPT or DATA are on their way
    BODY = "body"  # the message is being written, but not its last octets
    COMMITTED = "committed"  # the last octets were handed over: the server may have it all
    REPLIED = "replied"  # the server has answered the dot


class Answer(NamedTuple):
    """The reply that decides about a recipient, and the command it answers (`.` is the end of the message)."""

    command: str
    reply: Reply


@dataclass(frozen=True, slots=True)
class TransactionReport:
    """One transaction, as far as it got.

    `recipients` has every recipient of the envelope, with None for those that were not answered. `lost` says why
    answers are missing; it is None where the conversation came to its own end.
    """

    phase: Phase
    mail: Reply | None
    recipients: Mapping[str, Reply | None] = field(repr=False)
    data: Reply | None
    final: Reply | None
    lost: PostroomError | None
    connection_usable: bool
    is_encrypted: bool = False
    is_authenticated: bool = False
    # The task was cancelled after the commit: it went on for this report, and should end now.
    interrupted: bool = False
    # What each step (see `stopwatch`) took; of a session's first message, the session's opening too.
    seconds: Mapping[str, float] = field(default_factory=dict, compare=False)

    @property
    def never_sent(self) -> bool:
        """Whether the last octets never left: whatever happened, nobody got the message."""
        return self.phase not in {Phase.COMMITTED, Phase.REPLIED}

    @property
    def committed_without_reply(self) -> bool:
        """Whether nobody can say what became of it (RFC 1047): the one case where sending again may duplicate."""
        return self.phase is Phase.COMMITTED

    @property
    def was_accepted(self) -> bool:
        """Whether the server took responsibility for the message (RFC 5321 section 4.2.5)."""
        return self.final is not None and self.final.is_positive

    @property
    def admitted(self) -> tuple[str, ...]:
        """The recipients whose RCPT was accepted, whatever came afterwards."""
        return tuple(who for who, reply in self.recipients.items() if reply is not None and reply.is_positive)

    @property
    def accepted(self) -> tuple[str, ...]:
        """The recipients for whom the server took the message."""
        return self.admitted if self.was_accepted else ()

    @property
    def in_doubt(self) -> tuple[str, ...]:
        """The recipients who may have got the message."""
        return self.admitted if self.committed_without_reply else ()

    @property
    def refused(self) -> dict[str, Reply]:
        """The recipients whose own RCPT was refused, with the replies."""
        return {who: reply for who, reply in self.recipients.items() if reply is not None and reply.is_negative}

    @property
    def unattempted(self) -> tuple[str, ...]:
        """The recipients about whom nothing was said."""
        return tuple(who for who, reply in self.recipients.items() if reply is None)

    @property
    def leftover(self) -> tuple[str, ...]:
        """The recipients who did not fit into this transaction: the next one takes them at once, nothing failed."""
        has_answer = self.mail is not None and self.mail.is_positive
        return self.unattempted if has_answer and self.lost is None else ()

    def answer_for(self, recipient: str) -> Answer | None:
        """Return the reply that decides about a recipient, or None where there is none (see `lost`, `leftover`).

        A refused MAIL comes first, because what follows it is only its echo; then the recipient's own refusal, which a
        refused DATA may be the echo of (RFC 2920 section 3.1); then DATA; then the end of the message.
        """
        own = self.recipients[recipient]
        if self.mail is not None and self.mail.is_negative:
            return Answer("MAIL", self.mail)
        if own is None or own.is_negative:
            return None if own is None else Answer("RCPT", own)
        if self.data is not None and self.data.is_negative:
            return Answer("DATA", self.data)
        return None if self.final is None else Answer(".", self.final)
