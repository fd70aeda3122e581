"""Header fields: what is written as it stands, what is encoded, what is refused, and where lines are folded."""

import pytest
from hypothesis import given

from postroom_contract.errors import ArgumentException, PostroomError
from postroom_worker.composer.fields import (
    LONGEST_LINE,
    PREFERRED_LINE,
    Field,
    check_block,
    fold,
    structured,
    unstructured,
    write_block,
)
from tests.worker.composer.deliveries import one_line


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("", "Subject:"),
        ("Hello", "Subject: Hello"),
        ("two  spaces", "Subject: two  spaces"),
        ('a: b; <c@d>, "e" (f)', 'Subject: a: b; <c@d>, "e" (f)'),
        ("Grüße", "Subject: =?utf-8?b?R3LDvMOfZQ==?="),
        (" leading", "Subject: =?utf-8?b?IGxlYWRpbmc=?="),
        ("trailing ", "Subject: =?utf-8?b?dHJhaWxpbmcg?="),
        ("a\ttab", "Subject: =?utf-8?b?YQl0YWI=?="),
        ("=?utf-8?q?x?=", "Subject: =?utf-8?b?PT91dGYtOD9xP3g/PQ==?="),
    ],
)
def test_free_text_is_encoded_only_where_it_must_be(value: str, written: str) -> None:
    """Printable ASCII stays readable; all else is encoded as a whole, and so is what looks encoded already."""
    assert fold(unstructured("Subject", value)) == written


def test_free_text_is_folded_at_single_spaces_only() -> None:
    """No continuation consists of white space, however many spaces the text has."""
    lines = fold(unstructured("Subject", ("word " * 30 + " " * 200 + "word " * 30).strip())).split("\r\n")

    assert len(lines) > 4
    assert all(line.strip() for line in lines)
    assert all(len(line) <= PREFERRED_LINE for line in lines if "  " not in line)


def test_word_longer_than_a_line_is_encoded() -> None:
    """Free text without a space is cut by encoding it, since nothing else may cut it."""
    lines = fold(unstructured("Subject", "a" * 1500)).split("\r\n")

    assert all(len(line) <= PREFERRED_LINE for line in lines)


@pytest.mark.parametrize("length", [1, 50, 55, 56, 57, 76])
def test_line_with_an_encoded_word_is_short_whatever_the_name(length: int) -> None:
    """RFC 2047 counts the field's name with the first word: under a long name the word goes on the next line."""
    lines = fold(unstructured("X" * length, "💩" * 30)).split("\r\n")

    assert all(len(line) <= max(PREFERRED_LINE, length + 1) for line in lines)


@given(value=one_line())
def test_free_text_never_adds_a_field(value: str) -> None:
    """Whatever the text is, the block has one field and lines of ASCII within bounds."""
    block = write_block([unstructured("Subject", value)])

    assert block.isascii()
    assert block.startswith(b"Subject:")
    assert all(line.startswith(b" ") for line in block.split(b"\r\n")[1:-1])


@pytest.mark.parametrize(
    "value",
    ["<https://example.com/" + "u" * 300 + ">", " ".join(f"<{n}.message@example.com>" for n in range(40))],
    ids=["one long URL", "many message ids"],
)
def test_tokens_are_never_encoded_or_cut(value: str) -> None:
    """A long List-Unsubscribe or References keeps every token whole, the first beside its name (gh-85725)."""
    written = fold(structured("List-Unsubscribe", value))

    assert written.split("\r\n")[0].startswith(f"List-Unsubscribe: {value.split(maxsplit=1)[0]}")
    assert written.replace("\r\n", "") == f"List-Unsubscribe: {value}"


def test_white_space_around_tokens_is_dropped() -> None:
    """A tab is a space like any other, and none stands at either end."""
    assert fold(structured("References", " <a@b>\t<c@d> ")) == "References: <a@b> <c@d>"
    assert fold(structured("References", "  ")) == "References:"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("<https://bücher.example>", "not_ascii"),
        ("=?utf-8?q?=0ABcc:?=", "not_ascii"),
        ("<=?utf-8?B?eA==?=@example.com>", "not_ascii"),
        ("<https://example.com/" + "u" * LONGEST_LINE + ">", "too_long"),
    ],
)
def test_tokens_that_cannot_be_written_are_refused(value: str, reason: str) -> None:
    """What may not be encoded and cannot be sent as it stands is an error of type and reason, without the value."""
    with pytest.raises(ArgumentException) as refused:
        structured("List-Unsubscribe", value)

    assert refused.value.reason == reason
    assert value not in str(refused.value)
    assert value not in repr(refused.value.facts)


def test_url_with_question_marks_is_no_encoded_word() -> None:
    """A query such as `?a=?b` stands as it is."""
    assert fold(structured("List-Unsubscribe", "<https://x.example/?a=?b&c=?>")).endswith("/?a=?b&c=?>")


@pytest.mark.parametrize(
    "block",
    [
        b"",
        b"Subject: a\r\n",
        b"Subject: a\r\nBcc: x@y.z\r\nTo: b\r\n",
        b"To: b\r\nSubject: a\r\n",
        b"Subject: a\nBcc: x@y.z\r\nTo: b\r\n",
        b"Subject: a\rBcc: x@y.z\r\nTo: b\r\n",
        b"Subject: a\r\n\r\nTo: b\r\n",
        b"Subject: a\r\n \r\nTo: b\r\n",
        b"Subject: a\r\nTo: b",
        b"Subject: " + b"a" * 990 + b"\r\nTo: b\r\n",
    ],
    ids=["none", "missing", "added", "order", "bare LF", "bare CR", "empty line", "blank line", "no end", "long line"],
)
def test_block_with_other_fields_than_expected_is_stopped(block: bytes) -> None:
    """The last check lets nothing through that is not exactly the fields it was told."""
    with pytest.raises(PostroomError) as stopped:
        check_block(block, ["Subject", "To"])

    assert stopped.value.facts == {"reason": "header_block"}


def test_block_is_checked_where_it_is_written() -> None:
    """A unit that brings a line of its own, by a mistake elsewhere, goes nowhere."""
    with pytest.raises(PostroomError):
        write_block([Field("Subject", ["a\r\nBcc: x@y.z"])])


def test_sound_block_passes() -> None:
    """Fields in order, folded lines included, are what the check is for."""
    check_block(b"Subject: a\r\n b\r\nTo: c\r\n", ["Subject", "To"])
