"""The mails of a run: who gets the one with which number, how long it is and how urgent, as a pure function of the seed.

Owns the addresses, so that the SMTP server can tell from an envelope which mail it belongs to and who is unknown there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from random import Random

DOMAIN = "chaos.example"
# What the server says 550 to, always.
NOBODY = "nobody"

# Most mails are short; some fill several reads of a socket.
SHORT, LONG = 200, 60_000
PRIORITIES = ("Urgent", "Normal", "Normal", "Normal", "NonUrgent")

_SENDER = re.compile(r"<m(\d+)@")


@dataclass(frozen=True)
class Mail:
    """One mail of a run."""

    number: int
    recipients: tuple[str, ...]
    octets: int = SHORT
    priority: str = "Normal"

    @property
    def wants_news(self) -> bool:
        """Whether a host is to be told of its end: every third, so that the others show that nothing else changes."""
        return self.number % 3 == 0

    @property
    def sender(self) -> str:
        """The envelope's sender, by which the server knows the mail."""
        return f"m{self.number}@{DOMAIN}"

    @property
    def body(self) -> str:
        """Lines of text, `octets` together."""
        line = f"This is mail {self.number}.\n"
        return line * max(1, self.octets // len(line))


def mail(seed: int, number: int) -> Mail:
    """The mail with this number: usually one or two recipients, seldom one of them unknown to the server."""
    chance = Random(f"{seed}/mail/{number}")  # noqa: S311 -- not a secret
    names = [f"r{place}" for place in range(chance.choice((1, 1, 1, 2, 3)))]
    if chance.random() < 0.04:
        names[-1] = NOBODY
    return Mail(
        number,
        tuple(f"{name}.m{number}@{DOMAIN}" for name in names),
        LONG if chance.random() < 0.03 else SHORT,
        chance.choice(PRIORITIES),
    )


def number_of(envelope_sender: str) -> int:
    """Which mail a MAIL command belongs to; -1 where it is none of ours."""
    found = _SENDER.search(envelope_sender)
    return int(found[1]) if found else -1
