"""Two independent readers of mail: the standard library's parser and npm's mailparser.

Both give the same `ReadMail`, so that a test states once what a recipient sees and holds for two programs that share no
line of code. What one of them cannot read right is written at the place where it is set right.
"""

import base64
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from email import message_from_string, policy
from email.errors import NonASCIILocalPartDefect
from email.headerregistry import AddressHeader, DateHeader
from email.message import EmailMessage
from pathlib import Path
from typing import Any

NODE_FOLDER = Path(__file__).parents[2] / "node"


@dataclass(frozen=True)
class ReadFile:
    """An attachment as a recipient gets it."""

    name: str
    media_type: str
    disposition: str
    content: bytes
    content_id: str = ""


@dataclass(frozen=True)
class ReadMail:
    """A mail as a recipient gets it; texts with plain newlines, less those at their end."""

    header_names: list[str]
    subject: str
    message_id: str
    date: datetime
    sender: list[tuple[str, str]]
    to: list[tuple[str, str]]
    cc: list[tuple[str, str]]
    reply_to: list[tuple[str, str]]
    text: str | None
    html: str | None
    files: list[ReadFile]
    # What the reader objected to. mailparser objects to nothing.
    defects: list[str] = field(default_factory=list)


Reader = Callable[[bytes], ReadMail]


def parse(raw: bytes) -> EmailMessage:
    """Parse a mail with the standard library, UTF-8 in headers included."""
    parsed = message_from_string(raw.decode(), policy=policy.default)
    assert isinstance(parsed, EmailMessage)
    return parsed


def read_with_stdlib(raw: bytes) -> ReadMail:
    """Read a mail with the standard library's `email`."""
    mail = parse(raw)
    texts: dict[str, str] = {}
    files = []
    for part in mail.walk():
        disposition = part.get_content_disposition()
        if disposition is not None:
            content_id = str(part.get("Content-ID", "")).strip("<>")
            content = part.get_payload(decode=True)
            assert isinstance(content, bytes)
            # `get_filename` would take the angle brackets off a name.
            name = part["Content-Disposition"].params["filename"]
            files.append(ReadFile(name, part.get_content_type(), disposition, content, content_id))
        elif not part.is_multipart():
            texts[part.get_content_type()] = part.get_content()
    date = mail["Date"]
    assert isinstance(date, DateHeader)
    assert date.datetime is not None
    return ReadMail(
        header_names=[name.lower() for name in mail.keys()],  # noqa: SIM118 -- a mail may name a field twice
        subject=mail["Subject"],
        message_id=mail["Message-ID"],
        date=date.datetime,
        sender=_people(mail["From"]),
        to=_people(mail["To"]),
        cc=_people(mail["Cc"]),
        reply_to=_people(mail["Reply-To"]),
        text=_plain(texts.get("text/plain")),
        html=_plain(texts.get("text/html")),
        files=files,
        defects=list(_defects(mail)),
    )


@contextmanager
def mailparser() -> Iterator[Reader]:
    """A reader that asks npm's mailparser, in one process that lives as long as the context."""
    node = shutil.which("node")
    assert node is not None
    with subprocess.Popen(
        [node, str(NODE_FOLDER / "read_mail.cjs")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        questions, answers = process.stdin, process.stdout

        def read(raw: bytes) -> ReadMail:
            questions.write(base64.b64encode(raw) + b"\n")
            questions.flush()
            return _from_json(json.loads(answers.readline()))

        yield read


def mailparser_is_there() -> bool:
    """Whether Node.js and the packages of tests/node are installed."""
    return shutil.which("node") is not None and (NODE_FOLDER / "node_modules" / "mailparser").is_dir()


def _from_json(mail: dict[str, Any]) -> ReadMail:
    files = [ReadFile(**{**file, "content": base64.b64decode(file["content"])}) for file in mail["files"]]

    def people(field: str) -> list[tuple[str, str]]:
        return [(name, address) for name, address in mail[field]]

    return ReadMail(
        header_names=mail["header_names"],
        subject=mail["subject"],
        message_id=mail["message_id"],
        date=datetime.fromisoformat(mail["date"]),
        sender=people("from"),
        to=people("to"),
        cc=people("cc"),
        reply_to=people("reply_to"),
        text=_plain(mail["text"]),
        html=_plain(mail["html"]),
        files=files,
    )


def _people(header: AddressHeader | None) -> list[tuple[str, str]]:
    return [(address.display_name, address.addr_spec) for address in header.addresses] if header else []


def _plain(text: str | None) -> str | None:
    return None if text is None else text.replace("\r\n", "\n").rstrip("\n")


def _defects(mail: EmailMessage) -> Iterator[str]:
    for part in mail.walk():
        yield from map(repr, part.defects)
        for name, header in part.items():
            # RFC 6532 allows what this parser, made for RFC 5322, reports.
            yield from (
                f"{name}: {defect!r}" for defect in header.defects if not isinstance(defect, NonASCIILocalPartDefect)
            )
