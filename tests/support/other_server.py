"""What the tests ask of an SMTP server that is not ours: ways in, the mail it took, and what its clients did.

Each of those servers (aiosmtpd, npm's smtp-server, Postfix) stands behind one class of this shape, so that a test states
once what holds for all. They know one user and the recipients below; whoever else is written to is taken in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from tests.support.post import PASSWORD, USERNAME

# A process that starts on a busy two-core machine takes seconds at worst.
READY_TIMEOUT_S = 20.0
# Within it a message goes through a server, for Postfix by way of its queue and a relay.
ARRIVAL_TIMEOUT_S = 20.0

# The largest message that the servers take; the letters of the tests stay below it.
LARGEST_MESSAGE_OCTETS = 300_000

USERS = {USERNAME: PASSWORD}

NOBODY = "nobody@there.example"
BUSY = "busy@there.example"
CLOSING = "closing@there.example"
GREYLISTED = "greylisted@there.example"

# What the servers say about these recipients. The greylisted one is refused once.
REFUSALS = {
    NOBODY: "550 5.1.1 No such user",
    BUSY: "450 4.2.1 Mailbox busy",
    CLOSING: "421 4.3.2 Going down",
    GREYLISTED: "450 4.2.1 Greylisted, try again in 1 second",
}


class Way(Enum):
    """How to reach a server."""

    CLEAR = "in the clear: neither TLS nor AUTH"
    STARTTLS = "STARTTLS, and AUTH behind it"
    IMPLICIT = "TLS from the first byte, and AUTH"


@dataclass(frozen=True)
class Copy:
    """A message as the server took it."""

    sender: str
    recipients: tuple[str, ...]
    content: bytes = field(repr=False)


# How often a client gave each command, by its name in small letters, over one connection.
Visit = Counter[str]


class OtherServer(Protocol):
    """A running server."""

    @property
    def ports(self) -> Mapping[Way, int]:
        """Where it listens, on loopback."""

    @property
    def pipelines(self) -> bool:
        """Whether it announces PIPELINING."""

    def wait_for_copies(self, count: int) -> list[Copy]:
        """Return the messages it took, in their order, once there are so many; more or fewer fail the test."""

    def wait_for_visits(self, count: int) -> list[Visit]:
        """Return what was said over each connection that has ended, once there are so many."""


class Refusing:
    """Decides about recipients as `REFUSALS` says, for the servers that ask Python."""

    def __init__(self) -> None:
        self._has_met_greylisted = False

    def about(self, recipient: str) -> str | None:
        """Return the reply that refuses a recipient, or None where it is welcome."""
        if recipient == GREYLISTED:
            if self._has_met_greylisted:
                return None
            self._has_met_greylisted = True
        return REFUSALS.get(recipient)
