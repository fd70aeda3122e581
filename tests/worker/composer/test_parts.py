"""Parts: media types that may be announced, boundaries, and contents byte for byte."""

import pytest

from postroom_contract.attachment import Attachment
from postroom_worker.composer.fields import fold
from postroom_worker.composer.parts import file_part, multipart, text_part
from tests.worker.composer.deliveries import composed
from tests.worker.composer.readers import Reader


@pytest.mark.parametrize(
    ("attachment", "media_type"),
    [
        ({"name": "a.pdf"}, "application/pdf"),
        ({"name": "a.png"}, "image/png"),
        ({"name": "a.unheard-of"}, "application/octet-stream"),
        ({"name": "a.tar.gz"}, "application/octet-stream"),
        ({"name": "a.pdf", "content_type": "text/x-own"}, "text/x-own"),
        ({"name": "a.eml"}, "application/octet-stream"),
        ({"name": "a", "content_type": "message/rfc822"}, "application/octet-stream"),
        ({"name": "a", "content_type": "Multipart/mixed"}, "application/octet-stream"),
        ({"name": "data:text/x y,z"}, "application/octet-stream"),
    ],
)
def test_announced_type_may_be_sent_as_base64(attachment: dict[str, str], media_type: str) -> None:
    """Given or guessed by the name; composite types (RFC 2045 section 6.4) and nonsense become plain octets."""
    part = file_part(Attachment.accept({**attachment, "content": b"x"}), b"x")

    assert fold(part.fields[0]).startswith(f"Content-Type: {media_type};")


@pytest.mark.parametrize("size", [0, 1, 57, 100_000])
def test_content_arrives_byte_for_byte(read: Reader, size: int) -> None:
    """Any content, none included, is what the recipient saves."""
    content = (bytes(range(256)) * 391)[:size]

    [file] = read(composed(attachments=[{"name": "a.bin", "content": content}])).files

    assert file.content == content


def test_text_file_keeps_its_line_ends(read: Reader) -> None:
    """A text that is attached is a file: nobody normalises it."""
    content = b"one\ntwo\rthree\r\n.\r\nFrom me \n\n"

    [file] = read(composed(attachments=[{"name": "a.txt", "content": content}])).files

    assert (file.media_type, file.content) == ("text/plain", content)


def test_parts_stand_between_boundaries() -> None:
    """Each part after a boundary line, the closing one at the end, no empty preamble."""
    both = multipart("alternative", "=_0", [text_part("plain", "a"), text_part("html", "b")])

    assert fold(both.fields[0]) == 'Content-Type: multipart/alternative; boundary="=_0"'
    assert b"".join(both.body).split(b"\r\n") == [
        b"--=_0",
        b"Content-Type: text/plain; charset=utf-8",
        b"Content-Transfer-Encoding: 7bit",
        b"",
        b"a",
        b"",
        b"--=_0",
        b"Content-Type: text/html; charset=utf-8",
        b"Content-Transfer-Encoding: 7bit",
        b"",
        b"b",
        b"",
        b"--=_0--",
    ]
