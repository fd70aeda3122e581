"""The demo's list: every example that the block walks through, and the failures worth seeing, with what must come of it.

Owns what is asked for, as the block's own JSON, and what is expected. Where the servers are is filled in by `stage`;
whether expectation and result agree is judged by `arrival` and `row`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from postroom_contract.error_codes import ErrorCode
from postroom_contract.errors import (
    EmailSessionException,
    FileNotFoundException,
    PostroomError,
    SmtpCommandException,
)
from postroom_contract.outcome import State

SENDER = "sender@gmail.com"
RECIPIENT = "recipient@outlook.com"
# Every octet there is, and line ends of all kinds: what a careless encoding would change.
BINARY = bytes(range(256)) * 64 + b"\r\n.\r\n\n\r\rFrom here\r\n"
ATTACHMENTS = {"notes.txt": "Grüße aus der Demo\r\n.\nlast line".encode(), "picture.bin": BINARY}


class Place(StrEnum):
    """Where a message is taken to."""

    TLS = "TLS port"
    STARTTLS = "STARTTLS port"
    CLOSED = "closed port"


@dataclass(frozen=True)
class Expected:
    """What must come of an example: its state and, unless it is sent, its error."""

    state: State = State.SENT
    error: type[PostroomError] | None = None
    code: ErrorCode | None = None
    attempts: int = 1


@dataclass(frozen=True)
class Example:
    """One row of the demo."""

    name: str
    message: Mapping[str, Any]
    place: Place = Place.TLS
    use_ssl: bool = True
    has_right_password: bool = True
    expected: Expected = Expected()


def all_examples(folder: Path) -> Sequence[Example]:
    """The block's examples and then the failures.

    Args:
        folder: where the attachments are.
    """
    return [*block_examples(folder), *failures(folder)]


def block_examples(folder: Path) -> Sequence[Example]:
    """The examples that the block's reference walks through; each of them must arrive."""
    one, two = (str(folder / name) for name in ATTACHMENTS)
    three = [f"recipient{number}@outlook.com" for number in (1, 2, 3)]
    return [
        Example("one recipient", message()),
        Example("three To", message(To=_list(*three))),
        Example("one Cc, one Bcc", message(Cc=_list("cc@outlook.com"), Bcc=_list("bcc@outlook.com"))),
        Example(
            "several Cc, several Bcc",
            message(
                Cc=_list("cc1@outlook.com", "cc2@outlook.com"),
                Bcc=_list("bcc1@outlook.com", "bcc2@outlook.com", "bcc3@outlook.com"),
            ),
        ),
        Example("priority Urgent", message(Priority="EmailMessagePriority.Urgent")),
        Example("HTML body", message(BodyFormat=1, Body="<h1>Example email body</h1>")),
        Example("one attachment", message(Attachments=[one])),
        Example("two attachments", message(Attachments=[one, two])),
        Example("STARTTLS, UseSsl false", message(), place=Place.STARTTLS, use_ssl=False),
    ]


def failures(folder: Path) -> Sequence[Example]:
    """What must not arrive, and the error that must say why."""
    session_error = (State.FAILED, EmailSessionException)
    missing = str(folder / "not-there.pdf")
    return [
        Example(
            "wrong password",
            message(),
            has_right_password=False,
            expected=Expected(*session_error, ErrorCode.INVALID_USER_CREDENTIALS),
        ),
        Example(
            "nothing listens there",
            message(),
            place=Place.CLOSED,
            # Worth retrying: a server that restarts refuses connections for a moment.
            expected=Expected(*session_error, ErrorCode.INVALID_PORT, attempts=5),
        ),
        Example(
            "attachment is missing",
            message(Attachments=[missing]),
            expected=Expected(State.FAILED, FileNotFoundException, ErrorCode.FILE_NOT_FOUND),
        ),
        Example(
            "not an address",
            message(To=_list("recipient at outlook.com")),
            expected=Expected(State.REFUSED, SmtpCommandException, ErrorCode.INVALID_ADDRESS, attempts=0),
        ),
        Example(
            "UseSsl true, STARTTLS port",
            message(),
            place=Place.STARTTLS,
            expected=Expected(*session_error, ErrorCode.SSL_UNSUPPORTED),
        ),
        Example(
            "UseSsl false, TLS port",
            message(),
            use_ssl=False,
            expected=Expected(*session_error, ErrorCode.SSL_REQUIRED),
        ),
    ]


def message(**changes: object) -> dict[str, Any]:
    """The block's example payload, null for null, with some properties changed."""
    return {
        "To": _list(RECIPIENT),
        "From": {"Name": None, "Address": SENDER},
        "Cc": [],
        "Bcc": [],
        "Priority": None,
        "Subject": "Example email subject",
        "BodyFormat": None,
        "Body": "Example email body",
        "Attachments": [],
        **changes,
    }


def write_attachments(folder: Path) -> None:
    """Make the files that the examples attach."""
    for name, content in ATTACHMENTS.items():
        (folder / name).write_bytes(content)


def _list(*addresses: str) -> list[dict[str, str | None]]:
    return [{"Name": None, "Address": address} for address in addresses]
