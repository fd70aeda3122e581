"""Transfer encodings: the right one, in short lines of ASCII, and the text comes back."""

import base64
import quopri

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from postroom_worker.composer.fields import LONGEST_LINE
from postroom_worker.composer.transfer import canonical, encode_base64, encode_quoted_printable, encode_text
from tests.worker.composer.deliveries import body_text


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("", "7bit"),
        ("plain\ttext \n", "7bit"),
        ("a" * LONGEST_LINE, "7bit"),
        ("a" * (LONGEST_LINE + 1), "quoted-printable"),
        ("Größenänderung über Öl", "base64"),
        ("A naïve text of some length in a café", "quoted-printable"),
        ("Привет", "base64"),
        ("a NUL\x00 in a text that is long enough", "quoted-printable"),
        ("a vertical tab\x0b in a text that is long enough", "quoted-printable"),
        ("From here on", "quoted-printable"),
        ("first\nFrom here on", "quoted-printable"),
        ("not From the start", "7bit"),
        ("--=_0123", "quoted-printable"),
        ("--\nsignature", "7bit"),
    ],
)
def test_encoding_suits_the_text(text: str, encoding: str) -> None:
    """7bit for what passes every server unchanged, else the shorter of the other two."""
    assert encode_text(text)[0] == encoding


@given(text=body_text())
def test_text_comes_back(text: str) -> None:
    """Decoding gives the text with canonical line ends, whichever encoding was chosen."""
    encoding, written = encode_text(text)

    if encoding == "quoted-printable":
        written = quopri.decodestring(written)
    elif encoding == "base64":
        written = base64.b64decode(written)
    assert written.decode() == canonical(text)


@given(text=body_text())
def test_written_lines_pass_every_server(text: str) -> None:
    """ASCII without NUL, no bare CR or LF, no line too long, none that an mbox file or a boundary would notice."""
    encoding, written = encode_text(text)

    lines = written.split(b"\r\n")
    assert written.isascii()
    assert b"\0" not in written
    assert not any(b"\r" in line or b"\n" in line for line in lines)
    assert max(map(len, lines)) <= (LONGEST_LINE if encoding == "7bit" else 76)
    assert not any(line.startswith((b"From ", b"--=_")) for line in lines)


@given(text=st.text("ab .=é\tFrom\n", max_size=400))
@example("a" * 75 + " \n")
@example("a" * 74 + "\t\n")
@example("a" * 75 + "From here on")
@example("From " * 40)
def test_quoted_printable_keeps_to_its_lines(text: str) -> None:
    """Lines of 76 at most, none ending in white space, none beginning with `From `; and the text comes back."""
    octets = canonical(text).encode()

    written = encode_quoted_printable(octets)

    lines = written.split(b"\r\n")
    assert max(map(len, lines)) <= 76
    assert not any(line.endswith((b" ", b"\t")) or line.startswith(b"From ") for line in lines)
    assert quopri.decodestring(written) == octets


@given(text=body_text())
def test_canonical_text_has_one_kind_of_line_end(text: str) -> None:
    """Every CR, LF and CRLF becomes CRLF, and the last line is ended."""
    lines = canonical(text).split("\r\n")

    assert not any("\r" in line or "\n" in line for line in lines)
    assert lines[-1] == ""
    assert lines == [*text.replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n").split("\n"), ""] or not text


@pytest.mark.parametrize("size", [0, 1, 56, 57, 58, 1000, 57 * 100])
def test_base64_is_cut_into_full_lines(size: int) -> None:
    """Every line but the last has 76 characters, and the content comes back."""
    content = (bytes(range(256)) * 23)[:size]

    *lines, last = encode_base64(content).split(b"\r\n")

    assert all(len(line) == 76 for line in lines)
    assert len(last) <= 76
    assert base64.b64decode(b"".join([*lines, last]), validate=True) == content
