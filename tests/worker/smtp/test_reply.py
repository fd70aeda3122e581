"""Replies, and the parser that finds them however the stream is cut."""

from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postroom_worker.smtp.reply import (
    LONGEST_LINE_OCTETS,
    LONGEST_REPLY_OCTETS,
    LONGEST_TEXT_TOLD,
    MOST_REPLY_LINES,
    ProtocolViolation,
    Reply,
    ReplyParser,
)

STREAM = (
    b"220 hi\r\n250-one\r\n250-SIZE 100\r\n250 two\r\n354 go\r\n550-5.1.1 no\r\n550 5.1.1 body\r\n421 4.4.2 bye\r\n"
)


def parse(*pieces: bytes) -> list[Reply]:
    """Feed pieces and return all replies that come out."""
    parser = ReplyParser()
    replies = []
    for piece in pieces:
        parser.feed(piece)
        while (reply := parser.next_reply()) is not None:
            replies.append(reply)
    return replies


def test_a_stream_of_replies_is_read() -> None:
    """Codes, enhanced codes and texts of single and multi-line replies come out in order."""
    assert parse(STREAM) == [
        Reply(220, None, "hi"),
        Reply(250, None, "one\nSIZE 100\ntwo"),
        Reply(354, None, "go"),
        Reply(550, "5.1.1", "no\nbody"),
        Reply(421, "4.4.2", "bye"),
    ]


@settings(deadline=None)
@given(st.sets(st.integers(1, len(STREAM) - 1)))
def test_cuts_change_nothing(cuts: set[int]) -> None:
    """However the network cuts the stream, the same replies come out."""
    edges = [0, *sorted(cuts), len(STREAM)]

    assert parse(*(STREAM[start:end] for start, end in pairwise(edges))) == parse(STREAM)


codes = st.integers(200, 599)
texts = st.text(
    st.characters(min_codepoint=33, max_codepoint=0x24F, exclude_categories=["Cc", "Cs", "Zs"]), max_size=60
)


@settings(deadline=None)
@given(codes, st.lists(texts, min_size=1, max_size=10), st.integers(1, 40))
def test_any_reply_survives_any_chunk_size(code: int, lines: list[str], size: int) -> None:
    """What a server writes is what is read, for all codes, texts and chunk sizes."""
    *first, last = lines
    octets = b"".join(f"{code}-{line}\r\n".encode() for line in first) + f"{code} {last}\r\n".encode()

    replies = parse(*(octets[start : start + size] for start in range(0, len(octets), size)))

    assert replies == [Reply.parse(code, lines)]


@settings(deadline=None)
@given(st.binary(max_size=400), st.integers(1, 50))
def test_noise_never_breaks_the_parser(noise: bytes, size: int) -> None:
    """Whatever comes in, the parser returns replies or says that this is not SMTP; nothing else happens."""
    with suppress(ProtocolViolation):
        parse(*(noise[start : start + size] for start in range(0, len(noise), size)))


@pytest.mark.parametrize(
    "line",
    [b"HTTP/1.1 400 Bad Request", b"", b"25", b"2500 four digits", b"250_", b"150 preliminary", b"650 x", b"+OK pop"],
)
def test_what_is_no_reply_is_a_violation(line: bytes) -> None:
    """Lines without a reply code of SMTP are refused."""
    with pytest.raises(ProtocolViolation):
        parse(line + b"\r\n")


def test_replies_before_a_violation_count() -> None:
    """What was said in good order is read before the violation is found."""
    parser = ReplyParser()
    parser.feed(b"250 ok\r\nnonsense\r\n")

    assert parser.next_reply() == Reply(250, None, "ok")
    with pytest.raises(ProtocolViolation):
        parser.next_reply()


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        (b"250\r\n", Reply(250)),
        (b"250 \r\n", Reply(250)),
        (b"250 ok\n", Reply(250, None, "ok")),
        (b"299 2.9.99 new\r\n", Reply(299, "2.9.99", "new")),
        (b"550 5.1.1\r\n", Reply(550, "5.1.1", "")),
        (b"354 2.0.0 go\r\n", Reply(354, None, "2.0.0 go")),
        (b"250 2.0.0.example\r\n", Reply(250, None, "2.0.0.example")),
        (b"550 caf\xe9\r\n", Reply(550, None, "caf\ufffd")),
        (b"550 red\x1b[31m\r\n", Reply(550, None, "red?[31m")),
    ],
)
def test_odd_replies_are_read(line: bytes, reply: Reply) -> None:
    """Missing text, bare LF, unknown codes, other charsets: servers send them, and they mean something."""
    assert parse(line) == [reply]


def test_codes_of_one_reply_have_to_agree() -> None:
    """A reply that is both yes and no is neither."""
    with pytest.raises(ProtocolViolation):
        parse(b"250-yes\r\n550 no\r\n")


def test_a_line_without_end_is_refused() -> None:
    """A server cannot fill our memory with one line, ended or not."""
    for line in (b"250 " + b"x" * LONGEST_LINE_OCTETS, b"250 " + b"x" * LONGEST_LINE_OCTETS + b"\r\n"):
        with pytest.raises(ProtocolViolation):
            parse(line)


def test_a_reply_without_end_is_refused() -> None:
    """Neither endless lines nor few long ones are collected beyond the bounds."""
    assert len(parse(b"250-x\r\n" * (MOST_REPLY_LINES - 1) + b"250 x\r\n")) == 1
    with pytest.raises(ProtocolViolation):
        parse(b"250-x\r\n" * MOST_REPLY_LINES + b"250 x\r\n")
    with pytest.raises(ProtocolViolation):
        parse((b"250-" + b"x" * 8000 + b"\r\n") * (LONGEST_REPLY_OCTETS // 8000 + 1))


@pytest.mark.parametrize(
    ("octets", "has_leftover"), [(b"", False), (b"220 go\r\n", False), (b"220 go\r\n2", True), (b"250-half\r\n", True)]
)
def test_leftover_is_seen(octets: bytes, has_leftover: bool) -> None:  # noqa: FBT001
    """Half a line and half a reply are noticed: before TLS they are an attack."""
    parser = ReplyParser()
    parser.feed(octets)
    parser.next_reply()

    assert parser.has_leftover == has_leftover


@pytest.mark.parametrize(
    ("code", "answers"),
    [
        (250, (True, False, False, False, False)),
        (354, (False, True, False, False, False)),
        (451, (False, False, True, False, False)),
        (421, (False, False, True, False, True)),
        (550, (False, False, False, True, False)),
    ],
)
def test_the_first_digit_decides(code: int, answers: tuple[bool, ...]) -> None:
    """Class and goodbye are told from the code alone."""
    reply = Reply(code)

    found = (reply.is_positive, reply.wants_more, reply.is_transient, reply.is_permanent, reply.is_goodbye)
    assert found == answers
    assert reply.is_negative == (code >= 400)


def test_texts_stay_out_of_reprs_and_are_cut_in_errors() -> None:
    """A reply's repr shows codes; an error carries a bounded part of its text."""
    reply = Reply(550, "5.1.1", "<someone@there.example> " + "x" * 10_000)

    assert "someone" not in repr(reply)
    assert reply.facts() == {"smtp_code": 550, "enhanced_code": "5.1.1", "text": reply.text[:LONGEST_TEXT_TOLD]}
