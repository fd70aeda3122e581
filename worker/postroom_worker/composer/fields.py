"""Header fields: how a value is cut into units, folded into lines, and written as a block (RFC 5322 section 2.2).

Owns the two kinds of field, unstructured text and structured tokens, and the last check on every header block before
it leaves: it has the fields it should have, and no others. Address lists are made in `addresses`, Content fields in
`parts`; all of them are written here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from postroom_contract.error_codes import ErrorCode
from postroom_contract.errors import ArgumentException, PostroomError
from postroom_contract.text import looks_encoded
from postroom_worker.composer.encoded_words import encoded_words

# RFC 5322 section 2.1.1 asks for 78 at most; RFC 2047 section 2 insists on 76 for a line with an encoded word.
PREFERRED_LINE = 76
# RFC 5322 section 2.1.1 allows 998; Haraka, for one, stumbles at 992.
LONGEST_LINE = 990
# What RFC 5322 section 2.1.1 forbids whatever we prefer.
MOST_LINE_OCTETS = 998

# Words of printable ASCII between spaces, none at either end: a reader would drop those.
_PLAIN = re.compile(r"[!-~]+(?: +[!-~]+)*")
# A fold stands for one space; where several meet it would leave a line of white space only (section 4.2, obsolete).
_SINGLE_SPACE = re.compile(r"(?<! ) (?! )")


class Field(NamedTuple):
    """A header field: its name, and its value in units between which a line may be folded."""

    name: str
    units: Sequence[str]


def unstructured(name: str, value: str) -> Field:
    """A field of free text, such as Subject: as it stands where that is safe, as encoded words elsewhere.

    A value that only looks like an encoded word is encoded as well, so that nobody's reader finds a line break in it
    (the class of CVE-2024-6923).
    """
    if "=?" not in value and _PLAIN.fullmatch(value):
        units = _SINGLE_SPACE.split(value)
        if max(map(len, units)) < LONGEST_LINE:
            return Field(name, units)
    return Field(name, encoded_words(value, PREFERRED_LINE - len(f"{name}: ")))


def structured(name: str, value: str, given_as: str = "Headers") -> Field:
    """A field of tokens, such as References or List-Unsubscribe: never encoded, never folded inside a token.

    Args:
        name: the field's name.
        value: the tokens, between white space.
        given_as: the property of the message that the value comes from.

    Raises:
        ArgumentException: the value is not printable ASCII, holds what a reader might decode, or has a token that is
            longer than a line.
    """
    value = value.strip().replace("\t", " ")
    if value and (not _PLAIN.fullmatch(value) or looks_encoded(value)):
        raise _refusal(given_as, "not_ascii", f"{name} takes printable ASCII only, and no encoded words.")
    units = _SINGLE_SPACE.split(value) if value else []
    if any(len(unit) >= LONGEST_LINE for unit in units):
        raise _refusal(given_as, "too_long", f"A word of {name} is longer than a line of mail may be.")
    return Field(name, units)


def write_block(fields: Sequence[Field]) -> bytes:
    """Write fields as the lines of one header block, without the empty line that ends it."""
    block = "".join(f"{fold(field)}\r\n" for field in fields).encode()
    check_block(block, [field.name for field in fields])
    return block


def fold(field: Field) -> str:
    """Write a field in lines of the preferred length wherever its units allow."""
    lines = [f"{field.name}:"]
    for position, unit in enumerate(field.units):
        # A long first token stays beside the name: some readers take `Message-ID:` with nothing behind it for empty.
        # An encoded word moves down, for RFC 2047 counts it with its line.
        stays = position == 0 and not unit.startswith("=?")
        if len(lines[-1]) + 1 + len(unit) <= (LONGEST_LINE if stays else PREFERRED_LINE):
            lines[-1] += f" {unit}"
        else:
            lines.append(f" {unit}")
    return "\r\n".join(lines)


def check_block(block: bytes, names: Sequence[str]) -> None:
    """Refuse a header block with other fields than these: the last line of defence against header injection.

    Raises:
        PostroomError: a field is missing or too many, a line is empty or too long, or a CR or LF stands alone. Only a
            mistake of ours can cause it.
    """
    *lines, rest = block.split(b"\r\n")
    found = [line.partition(b":")[0].decode() for line in lines if not line.startswith(b" ")]
    is_sound = (
        found == list(names)
        and not rest
        and block.count(b"\r") == block.count(b"\n") == len(lines)
        and all(line.strip() and len(line) <= MOST_LINE_OCTETS for line in lines)
    )
    if not is_sound:
        raise PostroomError(ErrorCode.INTERNAL, {"reason": "header_block"})


def _refusal(given_as: str, reason: str, detail: str) -> ArgumentException:
    return ArgumentException(ErrorCode.INVALID_ARGUMENT, {"property": given_as, "reason": reason, "detail": detail})
