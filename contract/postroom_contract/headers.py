"""The header fields a caller may add to a message, and what may stand in them.

Owns the allow-list and the line between free text, which the composer may encode, and tokens, which must stand as they
are given. Folding and encoding are the composer's business; who may see a header is nobody's here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from pydantic_core import PydanticCustomError

from postroom_contract.error_codes import ErrorCode
from postroom_contract.refusal import refuse
from postroom_contract.text import has_control_characters, looks_encoded

# Long enough for a References header of fifty message ids.
MOST_HEADER_CHARACTERS = 8000
MOST_HEADERS = 50
# RFC 5322 section 2.1.1 ends a line at 998; Haraka, for one, stumbles at 992. A token cannot be folded.
LONGEST_TOKEN = 989

# Headers that change nothing about who gets the message or how it is encoded; `X-` headers may be added freely.
ALLOWED_HEADERS = frozenset(
    {"list-unsubscribe", "list-unsubscribe-post", "list-id", "list-help", "list-archive", "list-post", "list-owner"}
    | {"in-reply-to", "references", "thread-topic", "thread-index"}
    | {"auto-submitted", "precedence", "feedback-id", "organization", "keywords", "comments", "sensitivity", "expires"}
    | {"content-language", "accept-language", "disposition-notification-to", "return-receipt-to"}
)
# The fields of free text among them, besides every `X-` field.
FREE_TEXT = frozenset({"comments", "organization", "thread-topic"})
# Written from `priority`; a caller's own would contradict it.
RESERVED_HEADERS = frozenset({"x-priority", "x-msmail-priority"})
# Narrower than RFC 5322 section 2.2 (which allows `a@b` as a name): what header names look like.
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,75}")
_TOKEN = re.compile(rf"[!-~]{{1,{LONGEST_TOKEN}}}")


def is_free_text(name: str) -> bool:
    """Whether a header's value is prose, which may be encoded, rather than tokens, which may not."""
    return name.lower() in FREE_TEXT or name.lower().startswith("x-")


def check_headers(headers: Mapping[str, str]) -> Mapping[str, str]:
    """The headers, if all of them may be added.

    Raises:
        PydanticCustomError: the first that may not, for a validator.
    """
    if len(headers) > MOST_HEADERS:
        raise refuse(ErrorCode.INVALID_ARGUMENT, "too_many", limit=MOST_HEADERS)
    if len({name.lower() for name in headers}) < len(headers):
        raise refuse(ErrorCode.INVALID_ARGUMENT, "conflict", detail="A header is there twice.")
    for name, value in headers.items():
        _check_name(name)
        if has_control_characters(value):
            raise _refused(name, "control_characters", "holds a control character")
        if len(value) > MOST_HEADER_CHARACTERS:
            detail = f"{name} is too long."
            raise refuse(ErrorCode.INVALID_ARGUMENT, "too_long", limit=MOST_HEADER_CHARACTERS, detail=detail)
        if not is_free_text(name) and (looks_encoded(value) or not all(map(_TOKEN.fullmatch, value.split()))):
            raise _refused(name, "not_ascii", "takes printable ASCII only, no encoded words, and no word beyond a line")
    return headers


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise refuse(ErrorCode.INVALID_ARGUMENT, "header_not_allowed", detail="A name is not a header's.")
    lower = name.lower()
    if lower in RESERVED_HEADERS or not (lower in ALLOWED_HEADERS or lower.startswith("x-")):
        raise _refused(name, "header_not_allowed", "is set by Postroom or not allowed")


def _refused(name: str, reason: str, why: str) -> PydanticCustomError:
    return refuse(ErrorCode.INVALID_ARGUMENT, reason, detail=f"{name} {why}.")
