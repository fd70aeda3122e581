"""A process that is started and, whatever happens, stopped by its own id.

Owns its start, its log file and its end. Which program it is and when it is ready is told by `broker` and
`worker_process`.
"""

import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from postroom.local.interruption import Interruption

# A loaded two-core machine has been seen to take seconds over what is otherwise a matter of milliseconds.
START_TIMEOUT_S = 30.0
# Longer than a worker without work takes to say goodbye to its servers.
STOP_TIMEOUT_S = 6.0
# What of a log is worth showing when its process has failed.
LAST_WORDS_CHARACTERS = 2000


class ChildFailed(Exception):
    """A process did not come up, or ended by itself; the text says which, with the end of its log."""


class Child:
    """One process in its own session, so that Ctrl-C reaches it through us and not before us."""

    def __init__(  # noqa: PLR0913 -- what a process is; the last two are for few
        self,
        name: str,
        command: Sequence[str],
        folder: Path,
        environment: Mapping[str, str],
        *,
        stop_timeout_s: float | None = None,
        held: Sequence[int] = (),
    ) -> None:
        """Prepare a process.

        Args:
            name: what it is called in errors, and its log file in `folder`.
            command: the program and its arguments.
            folder: where it runs.
            environment: all of its environment.
            stop_timeout_s: how long it may take to end, if not `STOP_TIMEOUT_S`.
            held: open files that it keeps open as well, such as a lock that must outlive us where it does.
        """
        self.name = name
        self.log_path = folder / f"{name}.log"
        self._command = list(command)
        self._folder = folder
        self._environment = dict(environment)
        self._stop_timeout_s = stop_timeout_s
        self._held = tuple(held)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with self.log_path.open("wb") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=self._held,
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The id of the process, while it runs."""
        assert self._process is not None, f"the {self.name} does not run"
        return self._process.pid

    def wait_until_ready(self, is_ready: Callable[[], object], interruption: Interruption) -> None:
        """Wait until the process does its work.

        Raises:
            ChildFailed: it ended, or it takes too long.
        """

        def is_ready_still_running() -> bool:
            self.check()
            return bool(is_ready())

        if not interruption.wait_until(is_ready_still_running, START_TIMEOUT_S):
            raise ChildFailed(f"the {self.name} is not ready after {START_TIMEOUT_S:g} s:\n{self._last_words()}")

    def check(self) -> None:
        """See that the process runs.

        Raises:
            ChildFailed: it does not.
        """
        if self._process is None or self._process.poll() is not None:
            code = self._process and self._process.returncode
            raise ChildFailed(f"the {self.name} has ended by itself (exit code {code}):\n{self._last_words()}")

    def log(self) -> str:
        """What the process has said so far."""
        return self.log_path.read_text(errors="replace")

    def stop(self) -> None:
        """End the process, in good order if it can; nothing happens when it has ended."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(self._stop_timeout_s or STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _last_words(self) -> str:
        return self.log()[-LAST_WORDS_CHARACTERS:].strip() or "(it has said nothing)"
