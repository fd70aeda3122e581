"""Which characters end or hide a line, and which cannot be written."""

import pytest

from postroom_contract.text import STANDARD_BASE64, has_control_characters, has_surrogates


@pytest.mark.parametrize(
    "character",
    [chr(code) for code in (*range(9), *range(10, 32), *range(0x7F, 0xA0), 0x2028, 0x2029, 0xD800, 0xDFFF)],
    ids=ascii,
)
def test_every_line_end_and_control_is_found_anywhere(character: str) -> None:
    """C0 but the tab, DEL, C1, Unicode's line separators and lone surrogates are found wherever they stand."""
    assert all(has_control_characters(text) for text in (character, f"{character}a", f"a{character}", f"a{character}b"))


@pytest.mark.parametrize("text", ["", "plain", "tab\there", "Grüße", "日本語", "emoji 🎉", "a\u200db", "\u00a0"])
def test_ordinary_text_passes(text: str) -> None:
    """Tabs, umlauts, other scripts, joiners and emoji are text."""
    assert not has_control_characters(text)
    assert not has_surrogates(text)


def test_a_lone_surrogate_has_no_utf_8_form() -> None:
    """What cannot be encoded is told before it is tried."""
    assert has_surrogates("a\udc80")


def test_both_alphabets_of_base64_read_the_same() -> None:
    """The URL alphabet is translated to the standard one."""
    assert "-_aZ9".translate(STANDARD_BASE64) == "+/aZ9"
