"""File names: what reaches the recipient, and in which parameter."""

import pytest
from hypothesis import given

from postroom_worker.composer.file_names import clean, disposition_parameter, type_parameter
from tests.worker.composer.deliveries import composed, one_line
from tests.worker.composer.readers import Reader


@pytest.mark.parametrize(
    ("name", "cleaned"),
    [
        ("report.pdf", "report.pdf"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\ann\\report.pdf", "report.pdf"),
        ("a/b\\c.txt", "c.txt"),
        ("folder/", "attachment"),
        ("..", "attachment"),
        (" ", "attachment"),
        ("invoice\u202efdp.exe", "invoicefdp.exe"),
        ("line\r\nbreak\x00\x85\u2028.txt", "linebreak.txt"),
        ("\u2066a\u2069\u200eb\u200f.txt", "ab.txt"),
        ("=?utf-8?q?=0ABcc:?=", "=_utf-8?q?=0ABcc:?="),
        ("=\u202e?utf-8?q?x?=", "=_utf-8?q?x?="),
        ("👩‍👧.png", "👩‍👧.png"),
        ("лён.txt", "лён.txt"),
    ],
)
def test_name_is_cleaned(name: str, cleaned: str) -> None:
    """Folders, control characters and changes of direction are gone; scripts and emoji stay."""
    assert clean(name) == cleaned


@pytest.mark.parametrize(
    ("name", "disposition", "content_type"),
    [
        ("report.pdf", 'filename="report.pdf"', 'name="report.pdf"'),
        ("a; b=c, (d).txt", 'filename="a; b=c, (d).txt"', 'name="a; b=c, (d).txt"'),
        ("é 1.pdf", "filename*=utf-8''%C3%A9%201.pdf", 'name="_ 1.pdf"'),
        ('a"b.txt', "filename*=utf-8''a%22b.txt", 'name="a_b.txt"'),
    ],
)
def test_name_is_written_once_in_full_and_once_in_ascii(name: str, disposition: str, content_type: str) -> None:
    """Plain names are quoted; others are percent-encoded, with a likeness for programs that know no RFC 2231."""
    assert disposition_parameter(name) == disposition
    assert type_parameter(name) == content_type


@given(name=one_line(max_pieces=6).filter(lambda name: name.strip() and len(name.encode()) <= 255))
def test_recipient_gets_the_cleaned_name(read: Reader, name: str) -> None:
    """Both readers find the same name, and the content byte for byte."""
    [file] = read(composed(attachments=[{"name": name, "content": b"\0\r\n.\r\n"}])).files

    assert file.name == clean(name)
    assert file.content == b"\0\r\n.\r\n"
