"""MIME parts: a text, a file, or several parts together (RFC 2045, RFC 2046, RFC 2387).

Owns the Content fields and the boundary lines. Which parts a message has is `composition`'s business; how content is
encoded is `transfer`'s.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from postroom_contract.attachment import Attachment
from postroom_worker.composer import file_names
from postroom_worker.composer.fields import Field, structured, write_block
from postroom_worker.composer.transfer import encode_base64, encode_text

_MEDIA_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+")
# RFC 2045 section 6.4 forbids base64 for these: a reader would look for parts in it.
_COMPOSITE_TYPES = ("multipart/", "message/")
_ANY_TYPE = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Part:
    """One MIME entity, its body in pieces: a large file is copied once, when the whole message is joined."""

    fields: tuple[Field, ...]
    body: tuple[bytes, ...]


def text_part(subtype: str, text: str) -> Part:
    """A text that the recipient reads in place: `plain` or `html`."""
    encoding, written = encode_text(text)
    content_type = Field("Content-Type", [f"text/{subtype};", "charset=utf-8"])
    return Part((content_type, Field("Content-Transfer-Encoding", [encoding])), (written,))


def file_part(attachment: Attachment, content: bytes, *, is_inline: bool = False) -> Part:
    """A file to keep or, inline, an image that the HTML beside it shows by its content id (RFC 2392)."""
    name = file_names.clean(attachment.file_name)
    disposition = "inline;" if is_inline else "attachment;"
    fields = [
        Field("Content-Type", [f"{_media_type(attachment)};", file_names.type_parameter(name)]),
        Field("Content-Transfer-Encoding", ["base64"]),
        Field("Content-Disposition", [disposition, file_names.disposition_parameter(name)]),
    ]
    if attachment.content_id is not None:
        fields.append(structured("Content-ID", f"<{attachment.content_id}>", given_as="Attachments"))
    return Part(tuple(fields), (encode_base64(content),))


def multipart(subtype: str, boundary: str, parts: Sequence[Part], *parameters: str) -> Part:
    """Several parts as one: `mixed`, `alternative` or `related`.

    Args:
        subtype: what the parts are to each other.
        boundary: a line that occurs in none of them, once `--` stands before it.
        parts: the parts in the order a reader meets them.
        parameters: what Content-Type says besides.
    """
    pieces: list[bytes] = []
    for part in parts:
        pieces += (f"\r\n--{boundary}\r\n".encode(), write_block(part.fields), b"\r\n", *part.body)
    pieces.append(f"\r\n--{boundary}--".encode())
    # The first boundary needs no line end before it: the empty line after the header is one.
    pieces[0] = pieces[0].removeprefix(b"\r\n")
    units = [f"multipart/{subtype};", *(f"{parameter};" for parameter in parameters), f'boundary="{boundary}"']
    return Part((Field("Content-Type", units),), tuple(pieces))


def _media_type(attachment: Attachment) -> str:
    """The type to announce: what is no media type, or may not be sent as base64, is plain octets."""
    media_type = attachment.media_type
    is_usable = _MEDIA_TYPE.fullmatch(media_type) and not media_type.lower().startswith(_COMPOSITE_TYPES)
    return media_type if is_usable else _ANY_TYPE
