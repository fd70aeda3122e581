"""Server replies: one value for each, and the parser that finds them in whatever pieces the network delivers.

Owns the grammar of RFC 5321 section 4.2, the enhanced codes of RFC 2034, and the bounds on what a server may make us
hold. No I/O: bytes go in, replies come out. Which reply answers which command is the transaction's business.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

# RFC 5321 section 4.5.3.1.5 asks for 512; real EHLO lines and error texts with links in them run longer.
LONGEST_LINE_OCTETS = 8 * 1024
# A reply is kept in memory until its last line: a server that never comes to an end must not fill ours.
LONGEST_REPLY_OCTETS = 64 * 1024
MOST_REPLY_LINES = 100
# What of a reply's text goes into an error: enough for every provider's explanation with its link.
LONGEST_TEXT_TOLD = 500

# First digit 2 to 5 (section 4.2.1); the rest is the server's, unknown codes included (section 4.3.2).
_LINE = re.compile(rb"([2-5][0-9]{2})(?:([ -])(.*))?", re.DOTALL)
_ENHANCED = re.compile(r"([245]\.[0-9]{1,3}\.[0-9]{1,3})(?: +|$)")
# A reply's text is shown on terminals: no escape sequences.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")

# RFC 5321 section 4.2.1.
_POSITIVE, _INTERMEDIATE, _TRANSIENT, _PERMANENT = 2, 3, 4, 5
# Section 3.8: the server closes the connection with it, whatever the command was.
_GOODBYE = 421


class ProtocolViolation(Exception):
    """The server said what no SMTP server says at this point; nothing more it says can be trusted."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One complete reply: its code, its enhanced code if it has one, and its text with lines joined by LF."""

    code: int
    enhanced: str | None = None
    text: str = field(default="", repr=False)  # texts quote addresses and subjects

    @classmethod
    def parse(cls, code: int, lines: list[str]) -> Reply:
        """Build a reply from its lines, taking the enhanced code off each (RFC 2034 section 4)."""
        found = _ENHANCED.match(lines[0]) if lines and code // 100 in {2, 4, 5} else None
        if found:
            lines = [_ENHANCED.sub("", line, count=1) for line in lines]
        return cls(code, found[1] if found else None, "\n".join(_CONTROL.sub("?", line) for line in lines))

    @property
    def is_positive(self) -> bool:
        """Whether the command was carried out; only the first digit counts (section 4.3.2)."""
        return self._kind == _POSITIVE

    @property
    def wants_more(self) -> bool:
        """Whether the server waits for the rest: 354 after DATA, 334 within AUTH."""
        return self._kind == _INTERMEDIATE

    @property
    def is_transient(self) -> bool:
        """Whether the server refused for now."""
        return self._kind == _TRANSIENT

    @property
    def is_permanent(self) -> bool:
        """Whether the server refused for good."""
        return self._kind == _PERMANENT

    @property
    def is_negative(self) -> bool:
        """Whether the server refused."""
        return self._kind in {_TRANSIENT, _PERMANENT}

    @property
    def is_goodbye(self) -> bool:
        """Whether the server closes the connection with this (421)."""
        return self.code == _GOODBYE

    @property
    def _kind(self) -> int:
        return self.code // 100

    def facts(self) -> dict[str, Any]:
        """The reply as an error carries it."""
        return {"smtp_code": self.code, "enhanced_code": self.enhanced, "text": self.text[:LONGEST_TEXT_TOLD]}


class ReplyParser:
    """Finds replies in a stream of octets, however it is cut."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._searched = 0
        self._code = 0
        self._lines: list[str] = []
        self._octets = 0

    @property
    def has_leftover(self) -> bool:
        """Whether octets are here that belong to no finished reply."""
        return bool(self._buffer or self._lines)

    def feed(self, octets: bytes) -> None:
        """Take what the network delivered."""
        self._buffer += octets

    def next_reply(self) -> Reply | None:
        """Return the next complete reply, or None until more has come.

        Raises:
            ProtocolViolation: this is not SMTP, or more of it than anybody needs.
        """
        while (line := self._next_line()) is not None:
            found = _LINE.fullmatch(line)
            if found is None or (self._lines and int(found[1]) != self._code):
                raise ProtocolViolation("malformed reply")
            self._octets += len(line)
            if self._octets > LONGEST_REPLY_OCTETS or len(self._lines) == MOST_REPLY_LINES:
                raise ProtocolViolation("reply too long")
            self._code = int(found[1])
            self._lines.append((found[3] or b"").decode("utf-8", "replace").strip())
            if found[2] != b"-":
                return self._finish()
        return None

    def _next_line(self) -> bytes | None:
        end = self._buffer.find(b"\n", self._searched)
        if max(end, 0) > LONGEST_LINE_OCTETS or (end < 0 and len(self._buffer) > LONGEST_LINE_OCTETS):
            raise ProtocolViolation("reply line too long")
        if end < 0:
            self._searched = len(self._buffer)
            return None
        line = bytes(self._buffer[:end]).removesuffix(b"\r")
        del self._buffer[: end + 1]
        self._searched = 0
        return line

    def _finish(self) -> Reply:
        reply = Reply.parse(self._code, self._lines)
        self._lines, self._octets = [], 0
        return reply
