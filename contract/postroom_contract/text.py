"""Which characters may stand in one line of text.

Owns the test that keeps header injection out (CR, LF, NUL and their Unicode cousins), used by every field that becomes
part of a header or a command, and how base64 may be written. Encoding text for the wire is the composer's business.
"""

from __future__ import annotations

import re

# C0 without the tab, DEL, C1, and the Unicode line separators: somebody's parser takes each of them for a line's end.
# Lone surrogates have no UTF-8 form and would only fail later.
_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
# RFC 2047 section 2. Eager readers decode these anywhere, even in a message id or an address (CVE-2024-6923).
_ENCODED_WORD = re.compile(r"=\?[^?\s]*\?[bq]\?[^?\s]*\?=", re.IGNORECASE)
_SURROGATE = re.compile("[\ud800-\udfff]")
# For `str.translate`: base64 is taken in either alphabet (RFC 4648 sections 4 and 5).
STANDARD_BASE64 = str.maketrans("-_", "+/")


def has_control_characters(text: str) -> bool:
    """Whether a text holds anything that could end or hide a line."""
    return _CONTROL.search(text) is not None


def has_surrogates(text: str) -> bool:
    """Whether a text cannot be written as UTF-8."""
    return _SURROGATE.search(text) is not None


def looks_encoded(text: str) -> bool:
    """Whether a reader might decode something in a text that was never encoded."""
    return _ENCODED_WORD.search(text) is not None
