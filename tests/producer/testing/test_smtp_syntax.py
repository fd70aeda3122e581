"""SMTP syntax: what passes, what does not, and with which reply."""

import pytest

from postroom.testing.smtp_syntax import (
    MAIL_PARAMETERS,
    CommandRefused,
    Path,
    check_charset,
    check_parameters,
    find_violations,
    parse_path,
    refuse_argument,
    unstuff,
)


@pytest.mark.parametrize(
    ("argument", "path"),
    [
        ("FROM:<a@x.test>", Path("a@x.test", {})),
        ("from:<a@x.test>", Path("a@x.test", {})),
        ("FROM:<>", Path("", {})),
        ("FROM:<a@[127.0.0.1]> SIZE=12", Path("a@[127.0.0.1]", {"SIZE": "12"})),
        ("FROM:<a@x.test> body=8BITMIME SMTPUTF8", Path("a@x.test", {"BODY": "8BITMIME", "SMTPUTF8": ""})),
        ('FROM:<"a b>c"@x.test>', Path('"a b>c"@x.test', {})),
        (r'FROM:<"a\"b"@x.test>', Path(r'"a\"b"@x.test', {})),
        ("FROM:<grün@x.test>", Path("grün@x.test", {})),
    ],
)
def test_a_sender_is_read(argument: str, path: Path) -> None:
    """The address and the parameters, whose names are in capitals."""
    assert parse_path(argument, "FROM") == path


@pytest.mark.parametrize(
    "argument",
    [
        *("", "FROM:", "FROM: <a@x.test>", "FROM <a@x.test>", "FROM:a@x.test", "TO:<a@x.test>", "FROM:<a@x.test"),
        *("FROM:<a>", "FROM:<a b@x.test>", "FROM:<a@x@y.test>", "FROM:<@x.test>", "FROM:<a@>", "FROM:<a@x.test>SIZE=1"),
        *("FROM:<a@x.test>  SIZE=1", "FROM:<a@x.test> ", "FROM:<<a@x.test>>", "FROM:<a\t@x.test>", 'FROM:<"a@x.test>'),
    ],
)
def test_a_bad_sender_is_refused(argument: str) -> None:
    """501, and the enhanced code of a bad sender address."""
    with pytest.raises(CommandRefused, match=r"^501 5\.1\.7 "):
        parse_path(argument, "FROM")


def test_only_a_recipient_may_be_the_postmaster_without_a_domain() -> None:
    """RFC 5321 §4.5.1; and no recipient may be null."""
    assert parse_path("TO:<Postmaster>", "TO") == Path("Postmaster", {})
    for argument, word in (("TO:<>", "TO"), ("TO:<root>", "TO")):
        with pytest.raises(CommandRefused, match=r"^501 5\.1\.3 "):
            parse_path(argument, word)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("parameters", "keywords", "reply"),
    [
        ({}, set(), None),
        ({"SIZE": "5"}, {"SIZE"}, None),
        ({"SIZE": "5"}, {"8BITMIME"}, "555"),
        ({"SIZE": "many"}, {"SIZE"}, "501"),
        ({"BODY": "8bitmime"}, {"8BITMIME"}, None),
        ({"BODY": "BINARYMIME"}, {"8BITMIME"}, "501"),
        ({"SMTPUTF8": ""}, set(), "555"),
        ({"RET": "HDRS"}, {"DSN"}, None),
        ({"X-MINE": "1"}, {"X-MINE"}, "555"),
    ],
)
def test_a_parameter_needs_the_extension_that_was_announced(
    parameters: dict[str, str], keywords: set[str], reply: str | None
) -> None:
    """555 for one that was not announced or is not known, 501 for a value that cannot be."""
    refused = None
    try:
        check_parameters(Path("a@x.test", parameters), MAIL_PARAMETERS, frozenset(keywords))
    except CommandRefused as refusal:
        refused = str(refusal)[:3]

    assert refused == reply


def test_a_non_ascii_address_needs_smtputf8() -> None:
    """553 5.6.7 without (RFC 6531 §3.5)."""
    check_charset("grün@x.test", is_utf8_agreed=True)
    check_charset("a@x.test", is_utf8_agreed=False)
    with pytest.raises(CommandRefused, match=r"^553 5\.6\.7 "):
        check_charset("grün@x.test", is_utf8_agreed=False)


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        (b"one\r\ntwo\r\n", None),
        (b"", None),
        (b"one\ntwo\r\n", "bare LF"),
        (b"one\rtwo\r\n", "bare CR"),
        (b"one\r\r\ntwo\r\n", "bare CR"),
        (b"one\0two\r\n", "NUL"),
        ("grün\r\n".encode(), "8-bit"),
        (b"x" * 998 + b"\r\n", None),
        (b"x" * 999 + b"\r\n", "longer than 998"),
    ],
)
def test_what_a_message_should_not_hold_is_named(text: bytes, finding: str | None) -> None:
    """One finding for each fault, none for a clean message."""
    findings = find_violations(text, is_8bit_agreed=False)

    assert len(findings) == (finding is not None)
    assert finding is None or finding in findings[0]


def test_eight_bits_are_no_fault_where_agreed() -> None:
    """BODY=8BITMIME makes them legal."""
    assert find_violations("grün\r\n".encode(), is_8bit_agreed=True) == []


@pytest.mark.parametrize(
    ("stuffed", "plain"),
    [
        (b"one\r\n..two\r\n", b"one\r\n.two\r\n"),
        (b"..\r\n", b".\r\n"),
        (b"...\r\n", b"..\r\n"),
        (b"a..b\r\n", b"a..b\r\n"),
        (b"a\n..b\r\n", b"a\n..b\r\n"),
        (b".unstuffed\r\n", b"unstuffed\r\n"),
        (b"", b""),
    ],
)
def test_unstuffing_takes_one_dot_from_the_start_of_a_line(stuffed: bytes, plain: bytes) -> None:
    """A line is what follows CRLF, not a bare LF (RFC 5321 §4.5.2)."""
    assert unstuff(stuffed) == plain


def test_a_command_without_argument_takes_none() -> None:
    """501 where there is one."""
    refuse_argument("DATA", "")
    with pytest.raises(CommandRefused, match=r"^501 5\.5\.4 DATA"):
        refuse_argument("DATA", "now")
