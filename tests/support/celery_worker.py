"""A real Celery worker for tests: a process of its own, ready when the test goes on, stopped by its pid.

It is started the way an operator does (`celery -A ... worker`), with the environment and options a test asks for. Its
log stands in a file, so that a test can read what it said, and a failure can show it.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.waiting import wait_until

# Importing Celery and connecting takes about a second, and many times that on a loaded two-core machine.
READY_TIMEOUT_S = 40.0
EXIT_TIMEOUT_S = 40.0

# Each of these makes workers talk with each other, which costs time at the start and at the end.
QUIET = ("--without-gossip", "--without-mingle", "--without-heartbeat")

ROOT = Path(__file__).parents[2]


class CeleryWorker:
    """One worker process. As a context manager it is ready inside and gone outside, killed if it does not stop."""

    def __init__(
        self,
        app: str,
        log_path: Path,
        environment: Mapping[str, str],
        options: Sequence[str] = (),
        *,
        log_level: str = "INFO",
    ) -> None:
        """Prepare a worker; `start` runs it.

        Args:
            app: what stands behind `celery -A`.
            log_path: where its output goes.
            environment: variables for it, besides those of the test run.
            options: more options of `celery worker`.
            log_level: INFO at least: "ready" is logged at INFO.
        """
        self.log_path = log_path
        self._environment = {**os.environ, "PYTHONUNBUFFERED": "1", **environment}
        self._command = [
            *(sys.executable, "-m", "celery", "-A", app, "worker", "--loglevel", log_level, "--hostname", "test@%h"),
            *QUIET,
            *options,
        ]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        """All that the worker has said so far."""
        return self.log_path.read_text(errors="replace")

    @property
    def pid(self) -> int:
        """The worker's process."""
        assert self._process is not None, "the worker was not started"
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the process is there, stopped by a signal or not."""
        return self._process is not None and self._process.poll() is None

    def launch(self) -> None:
        """Run the worker, and do not wait until it is ready."""
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(self._command, cwd=ROOT, env=self._environment, stdout=log, stderr=log)

    def start(self) -> None:
        """Run the worker, and return when it takes messages."""
        self.launch()
        self.wait_until_ready()

    def wait_until_ready(self) -> None:
        """Return when a launched worker takes messages; one that does not is killed."""
        try:
            wait_until(self._is_ready, READY_TIMEOUT_S, "the worker to be ready")
        except BaseException:
            self.kill()
            raise

    def send(self, what: signal.Signals) -> None:
        """Send a signal to the worker."""
        os.kill(self.pid, what)

    def wait(self) -> int:
        """Wait until the worker has gone, and return its exit code.

        Raises:
            AssertionError: it is still there after `EXIT_TIMEOUT_S`; the text shows the end of its log.
        """
        assert self._process is not None, "the worker was not started"
        try:
            return self._process.wait(EXIT_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the worker did not stop:\n{self.log[-4000:]}") from None

    def stop(self) -> int:
        """Ask for a warm shutdown (SIGTERM), and return the exit code."""
        self.send(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        """End the worker as a power cut would."""
        assert self._process is not None, "the worker was not started"
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        if self._process.poll() is None and kind is None:
            self.stop()
        elif self._process.poll() is None:
            self.kill()

    def _is_ready(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError(f"the worker ended at once:\n{self.log[-4000:]}")
        return " ready." in self.log
