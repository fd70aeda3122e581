"""Being told to stop, by Ctrl-C, SIGTERM or a closed terminal, without leaving anything behind.

A signal only leaves a note, which is read wherever the program pauses: so none strikes between the start of a process and
the moment at which somebody is in charge of stopping it. Cleaning up cannot be interrupted at all.
"""

import signal
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# Short enough that nobody notices, long enough to cost no CPU.
LOOK_S = 0.02


class Interruption:
    """While this context lasts, the signals that end a program are noted, and `pause` acts on them."""

    def __init__(self, say: Callable[[str], None]) -> None:
        """Prepare.

        Args:
            say: takes the word that the end begins.
        """
        self._say = say
        self._noted: int | None = None
        self._before: dict[int, Any] = {}

    def pause(self) -> None:
        """Wait a moment.

        Raises:
            SystemExit: somebody wants the program to end; its code is what a shell reports of such an end.
        """
        if self._noted is not None:
            self._say("Interrupted: cleaning up")
            raise SystemExit(128 + self._noted)
        time.sleep(LOOK_S)

    def wait_until(self, condition: Callable[[], object], timeout_s: float) -> bool:
        """Pause until `condition` holds, and tell whether it did in time."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > deadline:
                return False
            self.pause()
        return True

    def __enter__(self) -> Self:
        # What the caller ignores (nohup does so with SIGHUP) stays ignored.
        heeded = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
        self._before = {number: signal.signal(number, self._note) for number in heeded}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._noted = number
