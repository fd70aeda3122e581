"""Attachments: the block's rules for paths, content that travels along, and reading a file at once."""

import base64
import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from postroom_contract import attachment
from postroom_contract.attachment import MOST_NAME_BYTES, MOST_PATH_BYTES, Attachment, file_error, too_large
from postroom_contract.error_codes import ErrorCode
from postroom_contract.errors import (
    ArgumentException,
    ArgumentNullException,
    FileNotFoundException,
    IOException,
    PathTooLongException,
    PostroomError,
    PropertyNullException,
    SmtpCommandException,
    UnauthorizedAccessException,
)


@pytest.mark.parametrize(
    ("path", "kind", "code", "reason"),
    [
        (None, ArgumentNullException, 1001, None),
        ("", ArgumentException, 1000, "blank"),
        (" \t ", ArgumentException, 1000, "blank"),
        ("a\0b", ArgumentException, 1000, "nul"),
        (" a", IOException, 1103, "leading_spaces"),
        ("a\udc80", IOException, 1103, "illegal_characters"),
        ("/" + "x" * (MOST_NAME_BYTES + 1), PathTooLongException, 1102, None),
        ("/" + "ü" * 128, PathTooLongException, 1102, None),
        ("x/" * (MOST_PATH_BYTES // 2) + "xx", PathTooLongException, 1102, None),
    ],
)
def test_a_path_is_refused_as_the_block_has_it(
    path: str | None, kind: type[PostroomError], code: int, reason: str | None
) -> None:
    """Each mistake in a path has its type, code and reason, and names the property."""
    with pytest.raises(kind) as caught:
        Attachment.accept(path)

    assert type(caught.value) is kind
    assert (caught.value.error_code, caught.value.reason) == (code, reason)
    assert caught.value.facts["property"] == "Path"


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        ("/a/report.pdf", "/a/report.pdf"),
        ("relative/report.pdf   ", "relative/report.pdf"),
        ("C:\\Users\\me\\report.pdf", "C:\\Users\\me\\report.pdf"),
        ("/a/" + "x" * MOST_NAME_BYTES, "/a/" + "x" * MOST_NAME_BYTES),
        ("/ü/日本 語.txt", "/ü/日本 語.txt"),
    ],
)
def test_a_path_is_kept_but_for_the_spaces_at_its_end(path: str, kept: str) -> None:
    """Trailing spaces go; a Windows drive, a blank inside and any script stay."""
    assert Attachment.accept(path).path == kept
    assert Attachment.accept({"Path": path}).path == kept


def test_a_path_object_is_a_path() -> None:
    """`pathlib` paths are taken as they are."""
    assert Attachment.accept(Path("/a/b")).path == "/a/b"


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/a/report.pdf", "report.pdf"),
        ("C:\\Users\\me\\report.pdf", "report.pdf"),
        ("/a/b/..", ".."),
        ("/", "attachment"),
    ],
)
def test_the_recipient_sees_the_last_part_of_the_path(path: str, name: str) -> None:
    """Of either kind of slash, and never an empty name."""
    assert Attachment.accept(path).file_name == name


@pytest.mark.parametrize(
    ("properties", "kind", "where", "reason"),
    [
        ({}, ArgumentNullException, "Path", None),
        ({"Path": None}, ArgumentNullException, "Path", None),
        ({"Path": "/a", "Content": b"x"}, ArgumentException, "Content", "conflict"),
        ({"Content": b"x"}, PropertyNullException, "Name", None),
        ({"Content": b"x", "Name": "a\nb"}, ArgumentException, "Name", "control_characters"),
        ({"Content": b"x", "Name": "a\ud800"}, ArgumentException, "Name", "control_characters"),
        ({"Content": b"x", "Name": "  "}, ArgumentException, "Name", "blank"),
        ({"Content": b"x", "Name": "ü" * 128}, ArgumentException, "Name", "too_long"),
        ({"Content": b"x", "Name": "a", "ContentType": "text"}, ArgumentException, "ContentType", "wrong_type"),
        ({"Content": b"x", "Name": "a", "ContentType": "a/b\n"}, ArgumentException, "ContentType", "wrong_type"),
        ({"Content": b"x", "Name": "a", "ContentType": 'a/b; c="d"'}, ArgumentException, "ContentType", "wrong_type"),
        ({"Content": b"x", "ContentId": "a b"}, ArgumentException, "ContentId", "wrong_type"),
        ({"Content": b"x", "ContentId": "<a>"}, ArgumentException, "ContentId", "wrong_type"),
        ({"Content": b"x", "ContentId": "a\r\nb"}, ArgumentException, "ContentId", "wrong_type"),
        ({"Content": "not base64!", "Name": "a"}, ArgumentException, "Content", "wrong_type"),
        ({"Path": "/a", "Mode": "rb"}, ArgumentException, "Mode", "unknown_property"),
    ],
)
def test_mistakes_in_an_attachment(
    properties: dict[str, Any], kind: type[PostroomError], where: str, reason: str | None
) -> None:
    """Whatever would become part of a header or a body is checked, and the property at fault is named."""
    with pytest.raises(kind) as caught:
        Attachment.accept(properties)

    assert type(caught.value) is kind
    assert (caught.value.facts["property"], caught.value.reason) == (where, reason)


CONTENT = bytes(range(256))


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_content_in_json_is_base64_parsed_or_not(encode: Any) -> None:
    """A JSON text and the object that `json.loads` makes of it mean the same bytes, in either alphabet."""
    text = json.dumps({"Content": encode(CONTENT).decode(), "Name": "a.bin"})

    assert Attachment.accept_json(text).content == CONTENT
    assert Attachment.accept(json.loads(text)).content == CONTENT


def test_content_survives_the_queue() -> None:
    """What is written as JSON reads back as the same bytes."""
    made = Attachment(content=CONTENT, name="a.bin", content_id="cid@x")

    assert Attachment.accept_json(made.model_dump_json(by_alias=True)) == made


@pytest.mark.parametrize(
    ("properties", "media_type"),
    [
        ({"path": "/a/b.pdf"}, "application/pdf"),
        ({"path": "/a/b.unheardof"}, "application/octet-stream"),
        ({"path": "/a/b.tar.gz"}, "application/octet-stream"),
        ({"path": "/a/b.pdf", "name": "c.png"}, "image/png"),
        ({"path": "/a/b.pdf", "content_type": "text/x-own"}, "text/x-own"),
    ],
)
def test_the_content_type_is_given_or_guessed(properties: dict[str, str], media_type: str) -> None:
    """The caller's word wins, then the shown name; a compressed file is no text."""
    assert Attachment.accept(properties).media_type == media_type


def test_read_takes_the_content_along(tmp_path: Path) -> None:
    """The file is read now: the worker needs no access to it."""
    file = tmp_path / "report.txt"
    file.write_bytes(CONTENT)

    for given in (file, str(file), f"{file}  "):
        read = Attachment.read(given)
        assert (read.content, read.name, read.path) == (CONTENT, "report.txt", None)


def test_read_tells_what_is_wrong_with_a_file(tmp_path: Path) -> None:
    """A missing file, a folder, and a file used as a folder are the block's exceptions and Python's."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(FileNotFoundError) as missing:
        Attachment.read(tmp_path / "missing")
    with pytest.raises(FileNotFoundError):
        Attachment.read(tmp_path / "file" / "inside")
    with pytest.raises(PermissionError) as folder:
        Attachment.read(tmp_path)

    assert isinstance(missing.value, FileNotFoundException)
    assert str(tmp_path) in missing.value.message
    assert str(tmp_path) not in str(missing.value)
    assert isinstance(folder.value, UnauthorizedAccessException)
    assert folder.value.reason == "is_folder"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_read_without_permission(tmp_path: Path) -> None:
    """A file that its owner keeps to himself is refused as such."""
    file = tmp_path / "private"
    file.write_bytes(b"")
    file.chmod(0)
    with pytest.raises(UnauthorizedAccessException) as caught:
        Attachment.read(file)

    assert caught.value.reason == "permission"


def test_read_stops_at_the_cap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of exactly the cap passes; one byte more is refused, however large the file is."""
    monkeypatch.setattr(attachment, "MOST_ATTACHMENT_BYTES", 10)
    file = tmp_path / "file"
    file.write_bytes(b"x" * 10)
    assert Attachment.read(file).content == b"x" * 10
    os.truncate(file, 10_000_000_000)
    with pytest.raises(SmtpCommandException) as caught:
        Attachment.read(file)

    assert (caught.value.error_code, caught.value.smtp_code, caught.value.facts["limit"]) == (1302, 552, 10)


@pytest.mark.parametrize(
    ("number", "kind", "code", "retryable"),
    [
        (errno.ENOENT, FileNotFoundException, ErrorCode.FILE_NOT_FOUND, False),
        (errno.ENOTDIR, FileNotFoundException, ErrorCode.FILE_NOT_FOUND, False),
        (errno.EACCES, UnauthorizedAccessException, ErrorCode.ACCESS_DENIED, False),
        (errno.EPERM, UnauthorizedAccessException, ErrorCode.ACCESS_DENIED, False),
        (errno.EISDIR, UnauthorizedAccessException, ErrorCode.ACCESS_DENIED, False),
        (errno.ENAMETOOLONG, PathTooLongException, ErrorCode.PATH_TOO_LONG, False),
        (errno.EINVAL, IOException, ErrorCode.PATH_INVALID, False),
        (errno.EILSEQ, IOException, ErrorCode.PATH_INVALID, False),
        (errno.EMFILE, IOException, ErrorCode.LOCAL_RESOURCE, True),
        (errno.ENFILE, IOException, ErrorCode.LOCAL_RESOURCE, True),
        (errno.ESTALE, IOException, ErrorCode.FILE_UNREADABLE, True),
        (errno.EIO, IOException, ErrorCode.FILE_UNREADABLE, True),
    ],
)
def test_what_the_system_says_of_a_file(
    number: int, kind: type[PostroomError], code: ErrorCode, *, retryable: bool
) -> None:
    """Each of the system's answers has its exception; only what may pass is worth another try."""
    error = file_error(OSError(number, os.strerror(number)), "/a/b")

    assert (type(error), error.code, error.retryable) == (kind, code, retryable)
    assert error.facts["path"] == "/a/b"


def test_too_large_is_told_as_a_server_would() -> None:
    """RFC 1870: 552 with 5.3.4, and the limit."""
    error = too_large(25)

    assert (error.smtp_code, error.enhanced_code, error.reason) == (552, "5.3.4", "too_large")
    assert "limit of 25 bytes" in str(error)
