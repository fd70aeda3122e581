"""Encoded words: text of any script inside a header that must stay ASCII (RFC 2047).

Owns the cutting of a text into words that each decode on their own. Whether a text needs them is decided by `fields`
and `addresses`; the `b` encoding serves both, since its alphabet is allowed in a phrase as well (section 5).
"""

from __future__ import annotations

from binascii import b2a_base64

# RFC 2047 section 2.
LONGEST_WORD = 75
# The two leading bits of an octet that goes on with a character (RFC 3629 section 3).
_CONTINUES = 0b10
_OPENING, _CLOSING = "=?utf-8?b?", "?="
# A word has to hold at least one character, of up to four octets: two groups of base64.
_SHORTEST_WORD = len(_OPENING) + 8 + len(_CLOSING)


def encoded_words(text: str, first_room: int = LONGEST_WORD) -> list[str]:
    """Write a text as encoded words, no character split between two of them.

    Args:
        text: any text; the words are to be joined by single spaces or folds, which a reader drops.
        first_room: characters left on the line where the first word goes. Too few for any word: it is made as if it
            had a line to itself.
    """
    octets = text.encode()
    room = first_room if _SHORTEST_WORD <= first_room <= LONGEST_WORD else LONGEST_WORD
    words = []
    while octets:
        end = (room - len(_OPENING) - len(_CLOSING)) // 4 * 3
        while end < len(octets) and octets[end] >> 6 == _CONTINUES:
            end -= 1
        words.append(f"{_OPENING}{b2a_base64(octets[:end], newline=False).decode()}{_CLOSING}")
        octets, room = octets[end:], LONGEST_WORD
    return words
