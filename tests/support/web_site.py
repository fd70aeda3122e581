"""A web application as its documentation says to start it: a real server process, asked over HTTP, stopped by its pid.

Owns the start and the end of the process, and the questions. The command line is the document's own, word for word, except
for the port.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx2

from postroom.testing import free_port
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]

# Importing a framework twice over takes seconds on a loaded two-core machine.
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 40.0
ANSWER_TIMEOUT_S = 30.0

# What the documents write.
_PORT = "8000"


def program_path() -> str:
    """PATH with the programs of the environment that runs the tests in front."""
    return f"{Path(sys.executable).parent}:{os.environ['PATH']}"


class WebSite:
    """One server with its worker processes; as a context manager it answers inside and is gone outside."""

    def __init__(self, command: str, environment: Mapping[str, str], log_path: Path) -> None:
        """Prepare a server.

        Args:
            command: the line to type, with port 8000.
            environment: variables for it, besides those of the test run.
            log_path: where its output goes.
        """
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._command = shlex.split(re.sub(rf"\b{_PORT}\b", str(port), command))
        self._environment = {**os.environ, "PYTHONUNBUFFERED": "1", "PATH": program_path(), **environment}
        self._log_path = log_path
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        """All that the server has said so far."""
        return self._log_path.read_text(errors="replace")

    def get(self, path: str) -> httpx2.Response:
        """Ask for something."""
        return httpx2.get(self.url + path, timeout=ANSWER_TIMEOUT_S)

    def post(self, path: str, document: object) -> httpx2.Response:
        """Hand over a JSON document."""
        return httpx2.post(self.url + path, json=document, timeout=ANSWER_TIMEOUT_S)

    def __enter__(self) -> Self:
        with self._log_path.open("ab") as log:
            self._process = subprocess.Popen(self._command, cwd=ROOT, env=self._environment, stdout=log, stderr=log)
        try:
            wait_until(self._answers, START_TIMEOUT_S, f"{self._command[0]} to answer")
        except BaseException:
            self._end(signal.SIGKILL)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end(signal.SIGTERM)

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError(f"the server ended at once:\n{self.log[-4000:]}")
        try:
            # Nobody has such a page; whoever says so is there.
            return self.get("/nowhere").status_code == httpx2.codes.NOT_FOUND
        except httpx2.TransportError:
            return False

    def _end(self, how: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(how)
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise AssertionError(f"the server did not stop:\n{self.log[-4000:]}") from None
