"""The recorder's process, from the side of the harness: started, asked for its port, stopped by its pid."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.chaos.journal import Journal

ROOT = Path(__file__).parents[2]
STOP_TIMEOUT_S = 10.0


class PostOffice:
    """The SMTP server of one run and its journal; runs inside the `with`."""

    def __init__(self, folder: Path, seed: int, *, is_calm: bool) -> None:
        path = folder / "journal.jsonl"
        path.touch()
        self.journal = Journal(path)
        self.port = 0
        self._log_path = folder / "recorder.log"
        calm = ("--calm",) if is_calm else ()
        self._command = [sys.executable, "-m", "tests.chaos.recorder", str(path), "--seed", str(seed), *calm]
        self._process: subprocess.Popen[str] | None = None

    @property
    def complaints(self) -> str:
        """What went wrong in the recorder itself: nothing, as long as it is right."""
        return self._log_path.read_text(errors="replace")

    def __enter__(self) -> Self:
        with self._log_path.open("ab") as log:
            self._process = subprocess.Popen(self._command, cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True)
        assert self._process.stdout is not None
        port = self._process.stdout.readline()
        if not port:
            self._stop()
            raise RuntimeError(f"the recorder did not start:\n{self.complaints[-2000:]}")
        self.port = int(port)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        assert self._process is not None
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
