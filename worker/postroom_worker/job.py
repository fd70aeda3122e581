"""One message under execution: its coroutine, the clocks of its time limits, and how it ended.

Owns the rules of stopping (how often a coroutine is asked to end, and what its end then means) and the call of Celery's
tracer. On which thread each of these happens, and in which order, is for the pool to say.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import partial
from typing import Any

from billiard.einfo import ExceptionInfo
from celery.app.task import Context, Task
from celery.exceptions import Reject, SoftTimeLimitExceeded, WorkerLostError

from postroom_worker.async_task import AsyncTask, HandBack, ending_as

logger = logging.getLogger(__name__)

# What is left to be done for a job: Celery's request is told of its fate.
Report = Callable[[], object]


class Why(Enum):
    """Why a job was asked to end before it had."""

    STOPPED = auto()  # a revoke or a shutdown: Celery knows, and has dealt with the message or is going to
    SOFT_LIMIT = auto()
    HARD_LIMIT = auto()


@dataclass(eq=False, slots=True, weakref_slot=True)
class Job:
    """What the pool knows of one message; Celery's request holds a weak reference to it."""

    pid: int  # how Celery names the job when it wants it ended; it has no process of its own
    uuid: str
    task: Task[Any, Any]
    request: dict[str, Any]
    trace: Callable[[], tuple[int, Any, Any]]  # Celery's tracer, bound to the message
    celery: Mapping[str, Any]  # the callbacks of Celery's request
    soft_limit_s: float | None
    hard_limit_s: float | None
    started_at: float = field(default_factory=time.monotonic)
    run: asyncio.Task[Any] | None = None
    clocks: list[asyncio.TimerHandle] = field(default_factory=list)
    stopped_for: Why | None = None
    is_recording: bool = False
    is_written_down: bool = False  # the task has stored its result itself: Celery's tracer waits for nothing

    @property
    def delivery_tag(self) -> str:
        """What names its message at the broker."""
        return str(self.request.get("properties", {}).get("delivery_tag"))

    @property
    def age_s(self) -> float:
        """How long ago the job was started."""
        return time.monotonic() - self.started_at

    def start(self) -> asyncio.Task[Any]:
        """Start the coroutine on the running loop."""
        self.run = asyncio.create_task(self._work(), name=f"task {self.uuid}")
        return self.run

    def stop(self, why: Why) -> None:
        """Ask the coroutine to end.

        It is asked once: a second `CancelledError` would break into the wait of one that must not be interrupted. Only
        the hard limit asks again. A job that Celery has stopped has no limits any more, for Celery has told its fate.
        """
        asked_before = self.stopped_for is not None
        self.stopped_for = why
        if why is Why.STOPPED:
            self.stop_clocks()
        if self.run is not None and (not asked_before or why is Why.HARD_LIMIT):
            self.run.cancel()

    def stop_clocks(self) -> None:
        """Let no time limit strike any more."""
        for clock in self.clocks:
            clock.cancel()

    def outcome(self) -> asyncio.Future[Any] | None:
        """Return what is to be recorded of a coroutine that has ended, or None if its message is to be delivered again.

        One that was stopped and still returned a value, or raised something of its own, has an outcome like any other.
        """
        assert self.run is not None
        if not self.run.cancelled():
            return None if isinstance(self.run.exception(), HandBack) else self.run
        if self.stopped_for is Why.STOPPED:
            return None
        if self.stopped_for is Why.SOFT_LIMIT:
            return _failed(SoftTimeLimitExceeded(self.soft_limit_s))
        return _failed(RuntimeError("the task cancelled itself"))

    def record(self, outcome: asyncio.Future[Any] | None) -> Report:
        """Have Celery's tracer store the outcome, publish a retry, send signals and log; return what is left to do.

        This waits for the result server. A task that is no coroutine has no outcome yet: the tracer runs it.
        """
        try:
            with ending_as(outcome) if outcome else nullcontext():
                failed, value, _ = self.trace()
        except Reject:  # the task's `on_success` may ask for it, and Celery's search for duplicates
            return partial(self.celery["callback"], (1, ExceptionInfo(), self.age_s))
        except BaseException as error:  # noqa: BLE001 - whatever happens here, Celery's request must hear of it
            kind = type(error).__name__  # its text may hold what a mail holds
            logger.error("Task %s: %s while its outcome was recorded", self.uuid, kind)
            return partial(self.celery["error_callback"], _unrecorded(kind))
        return partial(self.celery["callback"], (failed, value, self.age_s))

    def terminate(self, signal: int | None) -> None:
        """Do nothing: Celery calls this after the pool's `terminate_job`, which has done it."""

    async def _work(self) -> Any:
        assert isinstance(self.task, AsyncTask)
        args, kwargs = self.request["args"], self.request["kwargs"]
        context = Context(self.request, called_directly=False)
        try:
            return await self.task.arun(context, *args, **kwargs)
        except (MemoryError, SystemExit, KeyboardInterrupt) as error:
            # Each would end the loop or, in Celery's hands, the worker, and the next one to get the message likewise.
            raise RuntimeError(f"the task raised {type(error).__name__}") from error
        finally:
            self.is_written_down = bool(context.ignore_result) and not self.request.get("ignore_result")
            if self.is_written_down:
                self.request["ignore_result"] = True


def _failed(error: Exception) -> asyncio.Future[Any]:
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    future.set_exception(error)
    return future


def _unrecorded(kind: str) -> ExceptionInfo:
    """Return what Celery is told when its own tracer broke: the same as when a process of prefork died at work.

    Its settings then decide what becomes of the message (`task_reject_on_worker_lost`).
    """
    try:
        raise WorkerLostError(f"{kind} while the outcome was recorded") from None  # noqa: TRY301 - for its traceback
    except WorkerLostError:
        return ExceptionInfo()
