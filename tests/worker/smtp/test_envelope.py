"""Envelopes refuse what could become a command; messages survive dot-stuffing, and nothing can end them early."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postroom_contract.error_codes import ErrorCode
from postroom_contract.errors import SmtpCommandException
from postroom_worker.smtp.envelope import END_OF_DATA, Envelope, stuff_dots

BAD_ADDRESSES = [
    "a@b\r\nRCPT TO:<x@y.example>",
    "a@b\nc",
    "a@b> SIZE=1",
    "<a@b.example>",
    "a b@c.example",
    "a@b@c.example",
    "no-at",
    "@c.example",
    "a@",
    "a@b_c.example",
    "a\0@b.example",
    "ü@b.example\r",
    "",
    "x" * 65 + "@b.example",
]

lines = st.lists(st.text(st.sampled_from(".ab "), max_size=6).map(str.encode), min_size=1, max_size=20)


def unstuff(wire: bytes) -> bytes:
    """Read a message as RFC 5321 section 4.5.2 tells servers to."""
    assert wire.endswith(END_OF_DATA)
    return re.sub(rb"(?m)^\.", b"", wire.removesuffix(END_OF_DATA))


@settings(deadline=None)
@given(lines)
def test_dots_survive(content: list[bytes]) -> None:
    """What a server reads is what was sent, and the end is where it was meant to be."""
    message = b"".join(line + b"\r\n" for line in content)

    wire = stuff_dots(message)

    assert unstuff(wire) == message
    assert (b"\r\n" + wire).count(b"\r\n.\r\n") == 1


@pytest.mark.parametrize("line_end", [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n.\r", b"\r.\r\n", b"\r", b"\n"])
def test_line_ends_that_servers_disagree_about_are_refused(line_end: bytes) -> None:
    """Each form that has been used to smuggle a second message is found before anything is sent."""
    for content in (b"a\r\nb" + line_end + b"c\r\n", line_end + b"c\r\n", b"a\r\n" + line_end):
        with pytest.raises(ValueError, match="CRLF"):
            stuff_dots(content)


@pytest.mark.parametrize("content", [b"", b"a", b"a\r\nb"])
def test_the_last_line_has_to_be_ended(content: bytes) -> None:
    """Otherwise the end of the message would not be one."""
    with pytest.raises(ValueError, match="CRLF"):
        stuff_dots(content)


@pytest.mark.parametrize("address", BAD_ADDRESSES)
def test_what_is_no_address_does_not_reach_the_wire(address: str) -> None:
    """The envelope refuses it, as sender and as recipient, with the block's error and without echoing it."""
    for sender, recipient in (("a@b.example", address), (address or "@", "a@b.example")):
        with pytest.raises(SmtpCommandException) as refused:
            Envelope(sender, (recipient,))
        assert refused.value.code == ErrorCode.INVALID_ADDRESS
        assert (refused.value.smtp_code, refused.value.enhanced_code) == (501, "5.1.3")
        assert not address or address not in str(refused.value)


def test_an_envelope_needs_a_recipient() -> None:
    """Nothing could be sent without one."""
    with pytest.raises(ValueError, match="recipient"):
        Envelope("a@b.example", ())


def test_the_null_sender_is_allowed() -> None:
    """RFC 5321 section 4.5.5: notifications have no reverse path."""
    assert Envelope("", ("a@b.example",)).sender == ""


def test_a_recipient_named_twice_gets_one_copy() -> None:
    """The order stays."""
    envelope = Envelope("a@b.example", ("x@b.example", "y@b.example", "x@b.example"))

    assert envelope.recipients == ("x@b.example", "y@b.example")


def test_smtputf8_is_needed_for_local_parts_and_headers() -> None:
    """An ASCII envelope needs it only where the message says so."""
    assert not Envelope("a@b.example", ("c@d.example",)).needs_smtputf8
    assert Envelope("ü@b.example", ("c@d.example",)).needs_smtputf8
    assert Envelope("a@b.example", ("ü@d.example",)).needs_smtputf8
    assert Envelope("a@b.example", ("c@d.example",), has_utf8_headers=True).needs_smtputf8


def test_the_repr_shows_no_address() -> None:
    """Reprs reach logs."""
    assert repr(Envelope("a@b.example", ("c@d.example", "e@d.example"))) == "Envelope(recipients=2)"
