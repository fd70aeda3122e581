"""The application of a run: threads that hand mails over at the times of the schedule, and note what they were told."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from tests.chaos.judge import Handover, Posted
from tests.chaos.mails import mail
from tests.chaos.side import NotHandedOver, Side

# While Redis hangs each thread waits up to 5 s for one mail; with so many the rest of the application goes on.
THREADS = 8


class Postbag:
    """Posts the mails of a schedule; `posted` and `ids` may be read while it goes on."""

    def __init__(self, side: Side, seed: int, times: Sequence[float]) -> None:
        self.posted: dict[int, Posted] = {}
        self.ids: dict[int, str] = {}
        self.slowest_s = 0.0
        self.slowest_refusal_s = 0.0
        self.failures: list[BaseException] = []
        self._side = side
        self._seed = seed
        self._times = times
        self._numbers = iter(range(len(times)))
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._began_at = 0.0
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(THREADS)]

    def start(self, began_at: float) -> None:
        """Begin; the times count from `began_at` by the monotonic clock."""
        self._began_at = began_at
        for thread in self._threads:
            thread.start()

    @property
    def is_running(self) -> bool:
        """Whether there are mails still to post."""
        return any(thread.is_alive() for thread in self._threads)

    def join(self) -> None:
        """Return when all is posted.

        Raises:
            BaseException: what no application should have met.
        """
        for thread in self._threads:
            thread.join()
        if self.failures:
            raise self.failures[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join()

    def _run(self) -> None:
        try:
            while (number := self._next()) is not None:
                if self._stopping.wait(max(0.0, self._began_at + self._times[number] - time.monotonic())):
                    return
                self._post(number)
        except BaseException as failure:  # noqa: BLE001 -- raised again by `join`, in the thread that runs the storm
            self.failures.append(failure)

    def _next(self) -> int | None:
        with self._lock:
            return next(self._numbers, None)

    def _post(self, number: int) -> None:
        letter = mail(self._seed, number)
        began_at = time.monotonic()
        handover, delivery_id = Handover.RECEIPT, None
        try:
            delivery_id = self._side.post(letter)
        except NotHandedOver as refusal:
            delivery_id = refusal.delivery_id
            handover = Handover.REFUSED if delivery_id is None else Handover.MAYBE
            self.slowest_refusal_s = max(self.slowest_refusal_s, time.monotonic() - began_at)
        self.slowest_s = max(self.slowest_s, time.monotonic() - began_at)
        if delivery_id is not None:
            self.ids[number] = delivery_id
        self.posted[number] = Posted(number, letter.recipients, handover)
