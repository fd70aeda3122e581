"""Attachments: a path that the worker reads, or content that travels with the message.

Owns a path's syntax as the block judges it (null, empty, NUL, leading spaces, too long) and the caps in bytes. Whether
a file exists and may be read is the worker's business: it has its own file system.
"""

from __future__ import annotations

import base64
import errno
import mimetypes
import re
from pathlib import Path
from typing import Self

from pydantic import ConfigDict, field_validator, model_validator

from postroom_contract.error_codes import ErrorCode
from postroom_contract.errors import (
    FileNotFoundException,
    IOException,
    PathTooLongException,
    PostroomError,
    SmtpCommandException,
    UnauthorizedAccessException,
)
from postroom_contract.refusal import ContractModel, refuse
from postroom_contract.text import STANDARD_BASE64, has_control_characters, has_surrogates, looks_encoded

# The block's largest provider limit (Gmail, 25 MB); a server's own SIZE is checked when its session is open.
MOST_ATTACHMENT_BYTES = 25 * 1000 * 1000
# PATH_MAX and NAME_MAX of Linux: longer ones exist on no system the worker runs on.
MOST_PATH_BYTES = 4095
MOST_NAME_BYTES = 255
# Content-ID is one header line (RFC 5322 section 2.1.1) with room for its brackets.
_CONTENT_ID = re.compile(r"[!-;=?-~]{1,200}")
_CONTENT_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,127}/[A-Za-z0-9!#$&^_.+-]{1,127}")


class Attachment(ContractModel):
    """A file to attach, by `path` or by `content`; with a `content_id` it is shown inside the HTML body."""

    # Content is bytes: JSON carries it as base64.
    model_config = ConfigDict(ser_json_bytes="base64")

    path: str | None = None
    content: bytes | None = None
    name: str | None = None
    content_type: str | None = None
    content_id: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_path(cls, data: object) -> object:
        """Let a plain path stand for an attachment, as the block has it."""
        if data is None:
            raise refuse(ErrorCode.NULL_ARGUMENT, at="Path")
        return {"path": str(data)} if isinstance(data, (str, Path)) else data

    @field_validator("content", mode="before")
    @classmethod
    def _decode(cls, content: object) -> object:
        """Text is base64, in a parsed JSON object as in JSON itself."""
        if not isinstance(content, str):
            return content
        try:
            return base64.b64decode(content.translate(STANDARD_BASE64), validate=True)
        except ValueError:
            raise refuse(ErrorCode.INVALID_ARGUMENT, "wrong_type", detail="It should be base64.") from None

    @field_validator("path")
    @classmethod
    def _check_path(cls, path: str | None) -> str | None:
        return None if path is None else _checked_path(path)

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str | None) -> str | None:
        if name is not None and not name.strip():
            raise refuse(ErrorCode.INVALID_ARGUMENT, "blank")
        if name is not None and has_control_characters(name):
            raise refuse(ErrorCode.INVALID_ARGUMENT, "control_characters")
        if name is not None and len(name.encode()) > MOST_NAME_BYTES:
            raise refuse(ErrorCode.INVALID_ARGUMENT, "too_long", limit=MOST_NAME_BYTES)
        return name

    @field_validator("content_type")
    @classmethod
    def _check_type(cls, content_type: str | None) -> str | None:
        if content_type is not None and not _CONTENT_TYPE.fullmatch(content_type):
            raise refuse(ErrorCode.INVALID_ARGUMENT, "wrong_type")
        return content_type

    @field_validator("content_id")
    @classmethod
    def _check_content_id(cls, content_id: str | None) -> str | None:
        if content_id is not None and (not _CONTENT_ID.fullmatch(content_id) or looks_encoded(content_id)):
            raise refuse(ErrorCode.INVALID_ARGUMENT, "wrong_type")
        return content_id

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.path is None and self.content is None:
            raise refuse(ErrorCode.NULL_ARGUMENT, at="Path")
        if self.path is not None and self.content is not None:
            raise refuse(ErrorCode.INVALID_ARGUMENT, "conflict", at="Content", detail="Give Path or Content, not both.")
        if self.content is not None and self.name is None and self.content_id is None:
            raise refuse(ErrorCode.NULL_PROPERTY, at="Name", detail="Content has no name of its own.")
        return self

    @classmethod
    def read(cls, data: object) -> Self:
        """Read a file here and now, in the producer, so that the worker needs no access to it.

        Args:
            data: the file's path, a string or a `Path`.

        Raises:
            FileNotFoundException: there is no such file.
            UnauthorizedAccessException: it may not be read, or is a folder.
            IOException: reading it failed.
            SmtpCommandException: it is larger than any provider takes.
        """
        path = Path(cls.accept(data).path or "")
        try:
            # One byte more than the limit tells a file that is too large from one that just fits.
            with path.open("rb") as file:
                content = file.read(MOST_ATTACHMENT_BYTES + 1)
        except OSError as failed:
            raise file_error(failed, str(path)) from failed
        if len(content) > MOST_ATTACHMENT_BYTES:
            raise too_large(MOST_ATTACHMENT_BYTES)
        return cls(content=content, name=path.name)

    @property
    def file_name(self) -> str:
        """The name the recipient sees."""
        return self.name or Path((self.path or "").replace("\\", "/")).name or "attachment"

    @property
    def media_type(self) -> str:
        """The content type: as given, by the file name, or a stream of octets."""
        guessed, encoding = mimetypes.guess_type(self.file_name)
        return self.content_type or (guessed if guessed and not encoding else None) or "application/octet-stream"

    def __repr__(self) -> str:
        """Paths and contents are the sender's own: show none."""
        return "Attachment(...)"


def file_error(failed: OSError, path: str) -> PostroomError:
    """The block's exception for what the operating system said of a file."""
    match failed.errno:
        case errno.ENOENT | errno.ENOTDIR:
            return FileNotFoundException(ErrorCode.FILE_NOT_FOUND, {"path": path})
        case errno.EACCES | errno.EPERM:
            return UnauthorizedAccessException(ErrorCode.ACCESS_DENIED, {"path": path, "reason": "permission"})
        case errno.EISDIR:
            return UnauthorizedAccessException(ErrorCode.ACCESS_DENIED, {"path": path, "reason": "is_folder"})
        case errno.ENAMETOOLONG:
            return PathTooLongException(ErrorCode.PATH_TOO_LONG, {"path": path})
        case errno.EINVAL | errno.EILSEQ:
            return IOException(ErrorCode.PATH_INVALID, {"path": path, "reason": "illegal_characters"})
        case errno.EMFILE | errno.ENFILE | errno.ENOMEM:
            return IOException(ErrorCode.LOCAL_RESOURCE, {"path": path, "retryable": True})
        case _:
            # A network file system that stumbles (EIO, ESTALE, ETIMEDOUT) may be back in a moment.
            return IOException(ErrorCode.FILE_UNREADABLE, {"path": path, "retryable": True})


def too_large(limit: int) -> SmtpCommandException:
    """The refusal of a message that no server of that limit would take (RFC 1870 section 6.1)."""
    facts = {"reason": "too_large", "limit": limit, "smtp_code": 552, "enhanced_code": "5.3.4"}
    return SmtpCommandException(ErrorCode.MESSAGE_TOO_LARGE, facts)


def _checked_path(path: str) -> str:
    """A path that passes the block's rules of syntax, without its trailing spaces."""
    if not path.strip():
        raise refuse(ErrorCode.INVALID_ARGUMENT, "blank")
    if "\0" in path:
        raise refuse(ErrorCode.INVALID_ARGUMENT, "nul")
    if path.startswith(" "):
        raise refuse(ErrorCode.PATH_INVALID, "leading_spaces", path=path)
    if has_surrogates(path):
        raise refuse(ErrorCode.PATH_INVALID, "illegal_characters")
    path = path.rstrip(" ")
    if len(path.encode()) > MOST_PATH_BYTES or any(len(part.encode()) > MOST_NAME_BYTES for part in path.split("/")):
        raise refuse(ErrorCode.PATH_TOO_LONG, path=path[:80])
    return path
