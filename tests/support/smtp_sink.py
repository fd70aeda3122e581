"""smtp-sink, the throw-away server of the Postfix package: very fast, and it fails where its flags tell it to.

It knows neither TLS nor AUTH. What it takes it writes down, one file for each message, so that a test can count them.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from email import message_from_bytes, policy
from pathlib import Path
from types import TracebackType
from typing import Self

from postroom.testing import free_port
from tests.support.other_server import READY_TIMEOUT_S
from tests.support.waiting import wait_until

# How many clients may wait to be accepted.
BACKLOG = "128"


def program() -> str | None:
    """Where smtp-sink is on this machine."""
    return shutil.which("smtp-sink", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


@dataclass(frozen=True)
class Dumped:
    """A message as smtp-sink wrote it down."""

    recipients: tuple[str, ...]
    message_id: str


class SmtpSink:
    """One process, for as long as the context."""

    def __init__(self, *flags: str) -> None:
        """Prepare it.

        Args:
            flags: as smtp-sink(1) has them: `"-r", "RCPT"` refuses for now, `"-f", "DATA"` for good, `"-q", "."` hangs
                up without a word, `"-Q", "MAIL"` with 421.
        """
        self._flags = flags
        self.port = free_port()

    @property
    def dumped(self) -> list[Dumped]:
        """All messages that it has taken or is about to take, in no order."""
        return list(self._read_dumps())

    def __enter__(self) -> Self:
        with ExitStack() as running:
            # Not pytest's folder: smtp-sink does not stay root, and that one is root's.
            self._folder = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="smtp-sink-")))
            become = []
            if os.geteuid() == 0:
                shutil.chown(self._folder, "nobody")
                become = ["-u", "nobody"]
            sink = program()
            assert sink is not None
            command = [sink, *become, *self._flags, "-d", f"{self._folder}/mail.", f"127.0.0.1:{self.port}", BACKLOG]
            process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
            running.callback(process.wait, READY_TIMEOUT_S)
            running.callback(process.terminate)
            wait_until(lambda: self._listens() or process.poll() is not None, READY_TIMEOUT_S, "smtp-sink to listen")
            assert process.poll() is None
            self._running = running.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running.close()

    def _listens(self) -> bool:
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self.port)) == 0

    def _read_dumps(self) -> Iterator[Dumped]:
        for path in self._folder.iterdir():
            try:
                dump = message_from_bytes(path.read_bytes(), policy=policy.default)
            except FileNotFoundError:  # begun, and taken away meanwhile
                continue
            # Above the message it writes the envelope: X-Rcpt-Args: <ann@example.com>
            recipients = tuple(str(argument).strip("<>") for argument in dump.get_all("X-Rcpt-Args", []))
            yield Dumped(recipients, str(dump["Message-ID"]))
