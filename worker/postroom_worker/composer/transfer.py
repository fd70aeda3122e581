"""Content transfer encodings: how a part's content becomes short lines of ASCII (RFC 2045 section 6).

Owns the choice between 7bit, quoted-printable and base64, and the canonical line ends of text. 8bit and binary are
never written: one form serves every server, with or without 8BITMIME, and no relay has to change what may be signed.
"""

from __future__ import annotations

import re
from binascii import b2a_base64, b2a_qp

from postroom_worker.composer.fields import LONGEST_LINE

# RFC 2045 section 6.8.
_BASE64_LINE = 76
# Everything else (NUL above all) is legal on no wire, or changed on some.
_SAFE_OCTETS = bytes([*b"\t\r\n", *range(0x20, 0x7F)])
# `From ` opens the next message in an mbox file, and `--=_` is how our own boundaries begin; some servers cut a line
# that is too long. Either is harmless in quoted-printable.
_UNSAFE_LINE = re.compile(rb"^(?:From |--=_|[^\r\n]{%d})" % (LONGEST_LINE + 1), re.MULTILINE)
# Above one octet in six, base64 is the shorter of the two: each escape takes three octets, against four for three.
_MOST_ESCAPED = 1 / 6

_MBOX_FROM = re.compile(rb"^From ", re.MULTILINE)
# binascii escapes a space before a line end without counting: 77 characters where RFC 2045 section 6.7 allows 76.
_OVERLONG = re.compile(rb"^([^\r\n]{74})(=20|=09)(?=\r\n)", re.MULTILINE)


def encode_text(text: str) -> tuple[str, bytes]:
    """The transfer encoding that suits a text, and the text in it, with CRLF at the end of each line."""
    octets = canonical(text).encode()
    to_escape = len(octets.translate(None, _SAFE_OCTETS))
    if not to_escape and not _UNSAFE_LINE.search(octets):
        return "7bit", octets
    if to_escape <= len(octets) * _MOST_ESCAPED:
        return "quoted-printable", encode_quoted_printable(octets)
    return "base64", encode_base64(octets)


def canonical(text: str) -> str:
    """A text with CRLF for every CR, LF or CRLF, and at its end (RFC 2046 section 4.1.1).

    A bare CR or LF would let one mail become two at servers that take it for a line's end (CVE-2023-51764).
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    if lines and not lines.endswith("\n"):
        lines += "\n"
    return lines.replace("\n", "\r\n")


def encode_quoted_printable(octets: bytes) -> bytes:
    """Text with canonical line ends as quoted-printable, safe to be stored in an mbox file."""
    written = b2a_qp(octets, istext=True)
    return _MBOX_FROM.sub(b"=46rom=\r\n ", _OVERLONG.sub(rb"\1=\r\n\2", written))


def encode_base64(octets: bytes) -> bytes:
    """Any content as base64, in lines, the last of them without its end."""
    written = b2a_base64(octets, newline=False)
    return b"\r\n".join([written[at : at + _BASE64_LINE] for at in range(0, len(written), _BASE64_LINE)])
