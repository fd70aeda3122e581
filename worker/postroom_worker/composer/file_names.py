"""File names of attachments, as parameters of the Content fields (RFC 2183 section 2.3, RFC 2231).

Owns what of a name reaches the recipient: its last component, without what could mislead the eye or the recipient's
file system. A name that is not plain ASCII stands in `filename*` for programs of this century, and as a likeness in
the `name` of Content-Type for the rest: both under one key in one field would contradict each other (RFC 2231
knows no precedence).
"""

from __future__ import annotations

import re
from urllib.parse import quote

# Control characters and line separators; the marks and overrides of direction (`exe.fdp` for `pdf.exe`); lone
# surrogates.
_MISLEADING = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_SEPARATOR = re.compile(r"[/\\]")
# What cannot stand between quotes as it is; programs differ about what a backslash escapes.
_NOT_QUOTABLE = re.compile(r"[^ !#-\[\]-~]")
_UNNAMED = "attachment"


def clean(name: str) -> str:
    """What is left of a name when its folders and everything misleading is gone.

    What begins like an encoded word is broken up: some programs decode it even out of `filename*`.
    """
    last = _SEPARATOR.split(_MISLEADING.sub("", name))[-1].replace("=?", "=_").strip()
    return _UNNAMED if last in {"", ".", ".."} else last


def disposition_parameter(name: str) -> str:
    """A clean name as the parameter of Content-Disposition."""
    if _NOT_QUOTABLE.search(name):
        return f"filename*=utf-8''{quote(name, safe='')}"
    return f'filename="{name}"'


def type_parameter(name: str) -> str:
    """A clean name, or its likeness in ASCII, as the parameter of Content-Type."""
    return f'name="{_NOT_QUOTABLE.sub("_", name)}"'
