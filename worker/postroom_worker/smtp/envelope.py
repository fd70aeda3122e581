"""The envelope of one message, and the message as it goes over the wire.

Owns the last check that nothing in an address or a body can become a command: addresses have the form of RFC 5321,
bodies have CRLF line ends and nothing like them, dots are doubled (section 4.5.2). The composer makes the bytes; here a
mistake of its own is found before it turns into a second message.
"""

from __future__ import annotations

from dataclasses import dataclass

from postroom_contract.address import to_wire
from postroom_contract.error_codes import ErrorCode
from postroom_contract.errors import make_error

END_OF_DATA = b".\r\n"


@dataclass(frozen=True, slots=True)
class Envelope:
    """Who sends to whom; addresses in wire form, `sender` empty for the null reverse-path (RFC 5321 section 4.5.5)."""

    sender: str
    recipients: tuple[str, ...]
    # Beyond the addresses: the message itself may hold headers in UTF-8 (RFC 6532).
    has_utf8_headers: bool = False

    def __post_init__(self) -> None:
        """Refuse what the contract would have refused.

        Raises:
            SmtpCommandException: an address could not stand in a command.
            ValueError: there is no recipient.
        """
        if not self.recipients:
            raise ValueError("an envelope needs a recipient")
        for name, addresses in (("From", (self.sender,) if self.sender else ()), ("To", self.recipients)):
            if any(to_wire(address) is None for address in addresses):
                facts = {"property": name, "smtp_code": 501, "enhanced_code": "5.1.3", "retryable": False}
                raise make_error(ErrorCode.INVALID_ADDRESS, facts)
        # The same mailbox twice is one copy.
        object.__setattr__(self, "recipients", tuple(dict.fromkeys(self.recipients)))

    @property
    def needs_smtputf8(self) -> bool:
        """Whether only a server with SMTPUTF8 can take this (RFC 6531 section 3.2)."""
        return self.has_utf8_headers or not all(map(str.isascii, (self.sender, *self.recipients)))

    def __repr__(self) -> str:
        """Show a count: addresses are personal."""
        return f"Envelope(recipients={len(self.recipients)})"


def stuff_dots(content: bytes) -> bytes:
    """Return a message as DATA wants it: dots doubled at line starts, the terminating line at the end.

    The whole message is one buffer: no chunk boundary exists where a dot could be missed. A CR or LF of its own is
    refused, because servers disagree whether it ends a line, and the bytes between two opinions are where a second
    message can be smuggled in (section 2.3.8; CVE-2023-51764).

    Raises:
        ValueError: there is a bare CR or LF, or the last line is not ended; the composer made a mistake.
    """
    line_ends = content.count(b"\r\n")
    if not content.count(b"\r") == content.count(b"\n") == line_ends or not content.endswith(b"\r\n"):
        raise ValueError("a message must end its lines with CRLF and hold no other CR or LF")
    first = b"." if content.startswith(b".") else b""
    return b"".join((first, content.replace(b"\r\n.", b"\r\n.."), END_OF_DATA))
