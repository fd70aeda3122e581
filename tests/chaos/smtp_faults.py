"""What goes wrong at the SMTP server, and how long it takes to answer, as a pure function of the seed.

Owns which connection and which transaction meets which fault; the recorder does it. A mail's faults are bound to its
number and to how often the server has seen it, whoever brings it. From the third time on all goes well, so that a mail
seldom spends the five attempts that a connection gets.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from random import Random

# Replies are held so long that a kill finds transactions open after their last byte.
HOLD_S = (0.01, 0.2)

SHARE_OF_CONNECTIONS = 0.04
# By how often the mail has been seen before.
SHARE_OF_TRANSACTIONS = (0.12, 0.04)


class Moment(StrEnum):
    """Where in the conversation it happens."""

    GREETING = "greeting"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    BODY = "body"
    BEFORE_RECORD = "before_record"  # the last byte is there, and the message is not kept
    AFTER_RECORD = "after_record"  # the message is kept, and nobody is told


@dataclass(frozen=True)
class Fault:
    """A reply, or none and the end of the connection; a 421 ends it too."""

    at: Moment
    reply: str = ""
    is_abrupt: bool = False  # ended by RST, not FIN

    @property
    def ends_connection(self) -> bool:
        """Whether the connection is gone afterwards."""
        return self.reply in {"", BUSY}


# The wait that a reply names wins over the defaults of 30 s and more, which would outlast a short run.
BUSY = "421 4.3.2 Busy, try again in 2 seconds"
LATER = "450 4.2.1 Mailbox busy, try again in 2 seconds"
NO_DATA = "451 4.3.0 Not now, try again in 1 second"
FULL = "452 4.3.1 No room, try again in 2 seconds"

_OF_CONNECTIONS = (Fault(Moment.GREETING), Fault(Moment.GREETING, is_abrupt=True), Fault(Moment.GREETING, BUSY))
_OF_TRANSACTIONS = (
    *(Fault(at) for at in Moment if at is not Moment.GREETING),
    *(Fault(at, is_abrupt=True) for at in Moment if at is not Moment.GREETING),
    *(Fault(Moment.MAIL, BUSY), Fault(Moment.BEFORE_RECORD, BUSY)),
    *(Fault(Moment.RCPT, LATER), Fault(Moment.DATA, NO_DATA), Fault(Moment.BEFORE_RECORD, FULL)),
)


def of_connection(seed: int, number: int) -> Fault | None:
    """What befalls the connection with this number, if anything."""
    chance = Random(f"{seed}/connection/{number}")  # noqa: S311 -- not a secret
    return chance.choice(_OF_CONNECTIONS) if chance.random() < SHARE_OF_CONNECTIONS else None


def of_transaction(seed: int, mail: int, sighting: int) -> Fault | None:
    """What befalls a mail when the server sees it for the first, second ... time, if anything."""
    if sighting > len(SHARE_OF_TRANSACTIONS):
        return None
    chance = Random(f"{seed}/transaction/{mail}/{sighting}")  # noqa: S311 -- not a secret
    return chance.choice(_OF_TRANSACTIONS) if chance.random() < SHARE_OF_TRANSACTIONS[sighting - 1] else None


def hold_s(seed: int, mail: int, sighting: int) -> float:
    """How long the reply to the whole message is held."""
    return Random(f"{seed}/hold/{mail}/{sighting}").uniform(*HOLD_S)  # noqa: S311 -- not a secret
