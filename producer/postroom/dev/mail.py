"""A mail in the inbox, and what can be read in it.

Owns the reading, with the standard library's parser: headers, texts, attachments. Mail is written by strangers, so whatever is in
it may be anything; one that cannot be read is kept as it came, and says so, and the others are shown all the same.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from functools import cached_property

# What browsers show as pictures and nothing else.
_PICTURES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
_CONTENT_ID = re.compile(r"cid:([^\s\"'<>()]{1,200})", re.IGNORECASE)
_NO_SUBJECT = "(no subject)"


@dataclass(frozen=True)
class Enclosure:
    """A part that is neither the text nor the HTML."""

    name: str
    content_type: str
    content_id: str
    content: bytes = field(repr=False)


@dataclass(frozen=True)
class Reading:
    """What is in a mail."""

    headers: Sequence[tuple[str, str]] = field(default=(), repr=False)
    text: str | None = field(default=None, repr=False)
    html: str | None = field(default=None, repr=False)
    enclosures: Sequence[Enclosure] = field(default=(), repr=False)
    # What keeps it from being read.
    trouble: str | None = None

    def header(self, name: str) -> str:
        """The first header of this name; empty without one."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")

    @property
    def html_with_pictures(self) -> str:
        """The HTML, with the pictures in their places that the mail itself carries."""
        pictures = {
            one.content_id: f"data:{one.content_type};base64,{base64.b64encode(one.content).decode()}"
            for one in self.enclosures
            if one.content_id and one.content_type in _PICTURES
        }
        return _CONTENT_ID.sub(lambda found: pictures.get(found[1], found[0]), self.html or "")


@dataclass(frozen=True)
class Mail:
    """One mail in the inbox."""

    number: int
    sender: str = field(repr=False)
    # To whom it came, blind copies among them.
    recipients: Sequence[str] = field(repr=False)
    raw: bytes = field(repr=False)

    @cached_property
    def reading(self) -> Reading:
        """What is in it."""
        return read(self.raw)

    @property
    def subject(self) -> str:
        """Its subject, or a word in its place."""
        return self.reading.header("Subject") or _NO_SUBJECT

    def as_dict(self) -> dict[str, object]:
        """What scripts get."""
        reading = self.reading
        return {
            "number": self.number,
            "from": self.sender,
            "recipients": list(self.recipients),
            "subject": self.subject,
            "text": reading.text,
            "html": reading.html,
            "attachments": [one.name for one in reading.enclosures],
            "headers": dict(reading.headers),
            "trouble": reading.trouble,
        }


def read(raw: bytes) -> Reading:
    """Read a mail, whatever it is."""
    try:
        return _read(message_from_bytes(raw, policy=policy.default))
    except Exception as unreadable:  # noqa: BLE001 -- the parser has raised nearly everything on mails made to hurt it
        return Reading(trouble=f"This mail cannot be read ({type(unreadable).__name__}); look at it as it came.")


def _read(message: EmailMessage) -> Reading:
    texts: dict[str, str] = {}
    enclosures: list[Enclosure] = []
    for part in _leaves(message):
        kind = part.get_content_type()
        is_body = part.get_content_disposition() != "attachment" and part.get_filename() is None
        if kind in {"text/plain", "text/html"} and is_body and kind not in texts:
            texts[kind] = _text(part)
        else:
            enclosures.append(_enclosure(part, len(enclosures)))
    headers = [(name, str(value)) for name, value in message.items()]
    return Reading(headers, texts.get("text/plain"), texts.get("text/html"), enclosures)


def _leaves(message: EmailMessage) -> Iterator[EmailMessage]:
    return (part for part in message.walk() if not part.is_multipart())


def _text(part: EmailMessage) -> str:
    content = _content(part)
    try:
        return content.decode(part.get_content_charset() or "utf-8", "replace")
    except (LookupError, ValueError):  # no character set of this name, or no name
        return content.decode("utf-8", "replace")


def _enclosure(part: EmailMessage, place: int) -> Enclosure:
    return Enclosure(
        name=part.get_filename() or f"part {place}",
        content_type=part.get_content_type(),
        content_id=str(part.get("Content-ID", "")).strip().strip("<>"),
        content=_content(part),
    )


def _content(part: EmailMessage) -> bytes:
    content = part.get_payload(decode=True)
    return content if isinstance(content, bytes) else b""
