"""Encoded words: short enough, each of them whole, and the text comes back."""

import base64
from email.header import decode_header

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom_worker.composer.encoded_words import LONGEST_WORD, encoded_words
from tests.worker.composer.deliveries import one_line


@given(text=one_line(), first_room=st.integers(-10, 100))
def test_each_word_is_short_and_decodes_on_its_own(text: str, first_room: int) -> None:
    """No word is longer than RFC 2047 allows, none ends within a character, and together they are the text."""
    words = encoded_words(text, first_room)

    assert all(len(word) <= LONGEST_WORD for word in words)
    assert "".join(_decoded(word) for word in words) == text


@pytest.mark.parametrize("first_room", [20, 24, 40, 75])
def test_first_word_keeps_to_its_room(first_room: int) -> None:
    """The first word fits what the field's name leaves of the line, even for characters of four octets."""
    words = encoded_words("💩" * 40, first_room)

    assert len(words[0]) <= first_room


def test_standard_library_reads_the_words() -> None:
    """Words joined by folds are read as one text, without the folds."""
    words = encoded_words("Grüße aus Köln, " * 20)

    [(octets, charset)] = decode_header("\r\n ".join(words))
    assert isinstance(octets, bytes)
    assert octets.decode(charset or "ascii") == "Grüße aus Köln, " * 20


def test_nothing_needs_no_word() -> None:
    """An empty text has no words: RFC 2047 knows no empty one."""
    assert encoded_words("") == []


def _decoded(word: str) -> str:
    assert word.startswith("=?utf-8?b?")
    assert word.endswith("?=")
    return base64.b64decode(word[10:-2], validate=True).decode()
