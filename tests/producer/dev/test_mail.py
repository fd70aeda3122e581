"""What is read in a mail: what its reader would see, whatever its writer has put into it."""

from __future__ import annotations

from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom.dev.mail import Mail, read

PIXEL = b"\x89PNG\r\n\x1a\n"
# Deeper than the parser can follow.
UNREADABLE = b"".join(
    b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (depth, depth) for depth in range(2000)
)


def test_texts_and_attachments_are_told_apart() -> None:
    """Text and HTML are shown, all else is attached: a second text too, and one that says that it is an attachment."""
    message = EmailMessage()
    message["Subject"] = "Grüße"
    message.set_content("text")
    message.add_alternative("<p>html</p>", subtype="html")
    message.add_attachment("a text\n", filename="notes.txt")
    message.add_attachment(b"%PDF", maintype="application", subtype="pdf")
    reading = read(message.as_bytes())

    assert (reading.text, reading.html) == ("text\n", "<p>html</p>\n")
    assert reading.header("subject") == "Grüße"
    assert [(one.name, one.content) for one in reading.enclosures] == [("notes.txt", b"a text\n"), ("part 1", b"%PDF")]


def test_pictures_that_a_mail_brings_along_are_in_their_places() -> None:
    """Of the kinds that are pictures and nothing else; what the mail does not have stays as it was."""
    message = EmailMessage()
    message.set_content('<img src="cid:logo"> <img src="cid:drawing"> <img src="cid:nowhere">', subtype="html")
    message.add_related(PIXEL, "image", "png", cid="<logo>")
    message.add_related(b"<svg/>", "image", "svg+xml", cid="<drawing>")
    html = read(message.as_bytes()).html_with_pictures

    assert '<img src="data:image/png;base64,iVBORw0KGgo=">' in html
    assert '<img src="cid:drawing"> <img src="cid:nowhere">' in html


@pytest.mark.parametrize("charset", ["x-none", '"', "utf-8\x00", "idna", "base64", "rot13"])
def test_a_character_set_that_is_none_is_read_as_utf_8(charset: str) -> None:
    """As far as it goes."""
    reading = read(f"Content-Type: text/plain; charset={charset}\r\n\r\nhi \udcff\r\n".encode(errors="surrogateescape"))

    assert reading.trouble is None
    assert reading.text is not None
    assert reading.text.startswith("hi")


def test_what_cannot_be_read_is_told() -> None:
    """By the kind of failure, and nothing of the mail."""
    mail = Mail(1, "a@example.com", ("b@example.com",), UNREADABLE)

    assert mail.as_dict()["trouble"] == "This mail cannot be read (RecursionError); look at it as it came."
    assert mail.subject == "(no subject)"


@given(st.binary(max_size=400))
def test_no_octets_break_it(raw: bytes) -> None:
    """Whatever arrives can be listed."""
    assert Mail(1, "", (), raw).as_dict()["number"] == 1


def test_nothing_of_a_mail_is_in_its_repr() -> None:
    """A traceback shows no mail."""
    mail = Mail(1, "a@example.com", ("b@example.com",), b"Subject: secret\r\n\r\nsecret\r\n")

    assert "secret" not in repr((mail, mail.reading))
    assert "example.com" not in repr(mail)
