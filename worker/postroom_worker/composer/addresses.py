"""Address lists as headers show them: names beside mailboxes, separated by commas (RFC 5322 section 3.4).

Owns the three ways to write a display name (atoms, a quoted string, encoded words) and the places where such a list
may be folded. The mailbox itself is written as it goes over the wire, never encoded and never repaired; its grammar is
the contract's business.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from postroom_contract.address import EmailAddress
from postroom_worker.composer.encoded_words import LONGEST_WORD, encoded_words
from postroom_worker.composer.fields import PREFERRED_LINE, Field

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_ATOMS = re.compile(rf"{_ATOM}(?: {_ATOM})*")
_QUOTABLE = re.compile(r"[ -~]+")
_TO_ESCAPE = re.compile(r'(["\\])')


def mailboxes(name: str, addresses: Sequence[EmailAddress]) -> Field:
    """A field that lists mailboxes, folded after its commas and where an encoded name demands it."""
    if not addresses:
        # RFC 5322 section 3.6.3 lets no address list be empty; an empty group says that someone is meant.
        return Field(name, ["undisclosed-recipients:;"])
    units: list[str] = []
    room = PREFERRED_LINE - len(f"{name}: ")
    for address in addresses:
        units.extend(_mailbox(address, room))
        units[-1] += ","
        room = LONGEST_WORD
    units[-1] = units[-1].removesuffix(",")
    return Field(name, units)


def _mailbox(address: EmailAddress, room: int) -> Iterator[str]:
    """One mailbox in the units that a fold may separate."""
    name = (address.name or "").strip()
    if not name:
        yield address.wire
    elif "=?" not in name and _ATOMS.fullmatch(name):
        yield f"{name} <{address.wire}>"
    elif "=?" not in name and _QUOTABLE.fullmatch(name):
        escaped = _TO_ESCAPE.sub(r"\\\1", name)
        yield f'"{escaped}" <{address.wire}>'
    else:
        yield from encoded_words(name, room)
        yield f"<{address.wire}>"
