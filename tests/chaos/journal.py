"""What the SMTP server wrote down: one line of JSON for each transaction, in the order in which they ended.

Owns the form of the line and the reading of a file that still grows. The recorder writes it, the judge reads it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self


@dataclass
class Transaction:
    """One transaction, as the server saw it; times are the system's monotonic clock, which all processes share."""

    connection: int
    worker: str
    """What the client called itself in EHLO: the harness names each worker process."""
    mail: int
    sighting: int
    began_at: float
    admitted: list[str] = field(default_factory=list)
    refused: dict[str, int] = field(default_factory=dict)
    """Reply codes of the recipients that were not admitted."""
    message_id: str = ""
    body_at: float | None = None
    """When the server told the client to go ahead with the message."""
    last_byte_at: float | None = None
    accepted_at: float | None = None
    """When the server took responsibility."""
    replied_at: float | None = None
    """When the reply to the whole message was written."""
    code: int | None = None
    """The reply that ended it, wherever it came."""
    ended_at: float | None = None
    is_dropped: bool = False
    """Whether it was the server, as its faults told it, that ended the connection without a word."""

    @property
    def is_open_after_last_byte(self) -> bool:
        """Whether it broke when the whole message was there and the reply was not: the client cannot know its fate."""
        return self.last_byte_at is not None and self.replied_at is None

    @property
    def broke_in_body(self) -> bool:
        """Whether it broke on the way: the client may have handed over more than has arrived."""
        return self.body_at is not None and self.last_byte_at is None

    def line(self) -> str:
        """The line of the journal."""
        return json.dumps(asdict(self))

    @classmethod
    def parse(cls, line: str) -> Self:
        """The transaction of a line."""
        return cls(**json.loads(line))


class Journal:
    """The reading end: `transactions` is what had been written at the last `read`."""

    def __init__(self, path: Path) -> None:
        self.transactions: list[Transaction] = []
        self._path = path
        self._offset = 0

    def read(self) -> Self:
        """Take what was added since the last time."""
        with self._path.open("rb") as file:
            file.seek(self._offset)
            added = file.read()
        whole = added[: added.rfind(b"\n") + 1]
        self._offset += len(whole)
        self.transactions += [Transaction.parse(line) for line in whole.decode().splitlines()]
        return self

    @property
    def accepted(self) -> list[Transaction]:
        """Those in which the server took a message."""
        return [each for each in self.transactions if each.accepted_at is not None]
