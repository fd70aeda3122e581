"""A real Redis-compatible server for tests: found on this machine, started on a free loopback port, stopped by its own pid.

The embedded Valkey of the `dev` extra is preferred, so that every machine tests against the same server; elsewhere a
`valkey-server` or `redis-server` on PATH serves. This is also the one place where tests reach Redis directly (`connect`).
"""

import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import redis

from postroom.local.broker import find_server
from postroom.testing import free_port
from tests.support.waiting import wait_until

__all__ = ["ValkeyServer", "answers", "connect", "find_server"]

# Generous: a loaded two-core machine has been seen to take seconds over what is otherwise a matter of milliseconds.
START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 10.0


def connect(url: str) -> redis.Redis:
    """Return a client of the server at `url`; the caller closes it."""
    return redis.Redis.from_url(url, socket_timeout=STOP_TIMEOUT_S)


def answers(url: str, pid: int | None = None) -> bool:
    """Tell whether a server listens at `url` and has loaded its data, and whether it is the one of this process."""
    with connect(url) as client:
        try:
            return bool(client.ping()) and pid in {None, client.info("server")["process_id"]}
        except redis.ConnectionError:  # "loading" is one too
            return False


class ValkeyServer:
    """One server process with a data directory that outlives it, so that a test can kill it and start it again."""

    def __init__(
        self, program: Path, data_dir: Path, *, append_only: bool = False, options: Sequence[str] = ()
    ) -> None:
        """Prepare a server; `start` runs it.

        Args:
            program: what `find_server` returned.
            data_dir: an existing directory for its data and its log.
            append_only: write every change to the append-only file under `data_dir`, and sync it each time.
            options: further command-line options, e.g. `["--maxmemory", "10mb"]`; they win over the ones set here.
        """
        self.data_dir = data_dir
        self.log_path = data_dir / "server.log"
        self._program = program
        self._append_only = append_only
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0

    @property
    def url(self) -> str:
        """Database 0 of this server; the same after a restart."""
        return f"redis://127.0.0.1:{self._port}/0"

    @property
    def port(self) -> int:
        """The loopback port, chosen by the first `start`."""
        return self._port

    @property
    def pid(self) -> int:
        """The process that runs now, for a test that stops it with a signal."""
        assert self._process is not None, "the server does not run"
        return self._process.pid

    def start(self) -> None:
        """Run the server and return when it answers PING with its data loaded."""
        assert self._process is None, "the server runs already"
        self._port = self._port or free_port()
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(self._command_line(), cwd=self.data_dir, stdout=log, stderr=log)
        try:
            wait_until(self._answers, START_TIMEOUT_S, "the server to answer PING")
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """Ask the server to end in good order; nothing happens when it does not run."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the server as a power cut would: what was not yet on disk is gone."""
        self._end(signal.SIGKILL)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _command_line(self) -> list[str]:
        return [
            str(self._program),
            *("--bind", "127.0.0.1", "--port", str(self._port), "--dir", str(self.data_dir)),
            *("--save", "", "--appendonly", "yes" if self._append_only else "no", "--appendfsync", "always"),
            *self._options,
        ]

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError(f"the server ended at once:\n{self.log_path.read_text(errors='replace')[-2000:]}")
        return answers(self.url, pid=self._process.pid)

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_TIMEOUT_S)
