"""What a server announced in its reply to EHLO, as far as we use it.

Owns the reading of RFC 5321 section 4.1.1.1, RFC 1870 (SIZE), RFC 2920 (PIPELINING), RFC 6531 (SMTPUTF8), RFC 4954
(AUTH) and RFC 9422 (LIMITS). A new EHLO makes a new value: nothing learned before TLS survives it (RFC 3207 section 4.2).
"""

from __future__ import annotations

from dataclasses import dataclass

from postroom_worker.smtp.reply import Reply


@dataclass(frozen=True, slots=True)
class Extensions:
    """A server's announcements; without arguments, those of a server that knows HELO only."""

    pipelining: bool = False
    starttls: bool = False
    smtputf8: bool = False
    eight_bit_mime: bool = False
    announces_size: bool = False
    largest_message: int | None = None  # octets; None where the server sets no limit or keeps it to itself
    auth_mechanisms: frozenset[str] = frozenset()
    most_recipients: int | None = None  # per transaction (RFC 9422, RCPTMAX)
    most_messages: int | None = None  # per connection (RFC 9422, MAILMAX)

    @classmethod
    def from_reply(cls, reply: Reply) -> Extensions:
        """Read the reply to EHLO; its first line is the server's name."""
        announced: dict[str, list[str]] = {}
        for line in reply.text.split("\n")[1:]:
            # Old servers write `AUTH=LOGIN`; both forms may stand in one reply.
            keyword, *parameters = line.upper().replace("AUTH=", "AUTH ", 1).split()[:100] or [""]
            announced.setdefault(keyword, []).extend(parameters)
        limits = dict(item.split("=", 1) for item in announced.get("LIMITS", []) if "=" in item)
        return cls(
            pipelining="PIPELINING" in announced,
            starttls="STARTTLS" in announced,
            smtputf8="SMTPUTF8" in announced,
            eight_bit_mime="8BITMIME" in announced,
            announces_size="SIZE" in announced,
            # Zero says "no fixed limit" (RFC 1870 section 4).
            largest_message=_positive(announced.get("SIZE", [""])[:1]),
            auth_mechanisms=frozenset(announced.get("AUTH", [])),
            most_recipients=_positive([limits.get("RCPTMAX", "")]),
            most_messages=_positive([limits.get("MAILMAX", "")]),
        )


def _positive(words: list[str]) -> int | None:
    """The number in the first word; None for zero and for what is no number."""
    word = words[0] if words else ""
    # RFC 1870 section 4 allows twenty digits; `isdigit` alone would let other scripts' digits through.
    return int(word) or None if word.isascii() and word.isdigit() and len(word) <= 20 else None  # noqa: PLR2004
