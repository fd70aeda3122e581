"""The Celery pool that runs coroutines: one asyncio loop in each worker process, await first and trace after.

Owns how jobs are started, limited, stopped and reported to Celery; what a task does is not its business. Celery's worker
makes it (`worker_pool = "postroom_worker.pool:TaskPool"`) and calls its public methods on the thread of its hub.

Over 300 lines because the steps of a job and the ways of stopping it share one set of jobs and one order of threads.
"""

from __future__ import annotations

import asyncio
import inspect
import itertools
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any

from celery import signals
from celery.concurrency.base import BasePool
from celery.exceptions import WorkerTerminate
from celery.utils.dispatch import Signal
from celery.utils.functional import noop
from kombu.asynchronous.hub import Hub
from kombu.asynchronous.semaphore import LaxBoundedSemaphore

from postroom_broker.transport import hand_back
from postroom_worker.async_task import AsyncTask
from postroom_worker.job import Job, Report, Why
from postroom_worker.threads import Crew, LoopThread

logger = logging.getLogger(__name__)

# Sent on the loop when a shutdown begins: no new work is to be begun. Receivers are plain functions.
loop_draining = Signal(name="loop_draining")

# Sent on the loop before it stops. Receivers are `async def`, and all of them are awaited together.
loop_stopping = Signal(name="loop_stopping")

# The Celery setting `postroom_drain_s`: how long a warm shutdown (SIGTERM) lets jobs go on. With all the waits
# below it stays well under the 30 s that Kubernetes gives a pod to end.
DRAIN_S = 15.0

# The Celery setting `postroom_cancel_s`: how long a stopped job may take to end. A mail whose last byte has left waits
# for the server's reply, because without it nobody can tell whether the mail was sent.
CANCEL_S = 5.0

# How long outcomes that are being written down when the rest is over may still take: one slow answer of Redis.
RECORD_S = 2.0

# How long the receivers of `loop_stopping` have. A QUIT is a courtesy; no server's slow reply is worth a late exit.
LAST_WORDS_S = 2.0

# How often a wait looks whether it is over, for not all that ends it is reported.
LOOK_S = 0.1

# Threads that record outcomes: they mostly wait for the result server.
RECORDERS = 4

# Threads for tasks that are no coroutines, which is Celery's own housekeeping. They must not keep outcomes waiting.
SYNC_RUNNERS = 4


class TaskPool(BasePool):
    """Takes each message through these steps, and names the thread that takes the step.

    * `apply_async`, the hub: the message has a slot, and Celery is told that its task is accepted.
    * `_begin`, the loop: the coroutine starts, and so do the clocks of its time limits.
    * `_end`, the loop: the coroutine has ended. There is an outcome, or it was stopped and the message comes again.
    * `_record`, a recorder: Celery's tracer stores the outcome, publishes the retry, sends the signals, logs. The loop
      takes this step where the task has stored and published all that itself, so that nothing waits.
    * `_settle`, the hub: Celery acknowledges or rejects the message, and the slot is free.

    Only the hub's thread touches Celery's requests and `_jobs`, also while it waits for the last jobs in `on_stop`.
    """

    # It waits for threads.
    signal_safe = False
    # Celery holds back what has no slot, and looks for revokes and expiry before it hands it over.
    uses_semaphore = True
    body_can_be_buffer = True

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._hub: Hub | None = None
        self._slots: LaxBoundedSemaphore | None = options.get("semaphore")
        self._jobs: dict[int, Job] = {}
        self._pids = itertools.count(1)
        self._reports: SimpleQueue[tuple[Job, Report | None]] = SimpleQueue()
        self._loop = LoopThread()
        self._recorders = Crew(RECORDERS, "postroom-record")
        self._sync_runners = Crew(SYNC_RUNNERS, "postroom-sync")
        self._is_finishing = False
        self._is_hurried = False
        self._books_are_closed = False

    # From start to stop

    def on_start(self) -> None:
        """Start the threads, then have the program set itself up as in a child process of prefork."""
        self._loop.start()
        self._recorders.start()
        self._sync_runners.start()
        _, hostname = self.options["initargs"]
        signals.worker_process_init.send(sender=hostname)
        signals.worker_shutting_down.connect(self._hurry)

    def register_with_event_loop(self, loop: Hub) -> None:
        """Learn which hub Celery's consumer runs on. Without one (some transports) reports are settled as they arise."""
        self._hub = loop

    def on_stop(self) -> None:
        """Let jobs end, stop those that take too long, and end the loop: a warm shutdown."""
        if self.active:
            # Called by Celery's handler of SIGQUIT, in the middle of what this thread was doing. It may hold the lock of
            # the log or of the hub, so that all others stand still while it waits here. `on_terminate` follows.
            return
        self._finish(self._setting("postroom_drain_s", DRAIN_S))

    def on_terminate(self) -> None:
        """Stop all jobs and end the loop: a cold shutdown. Celery has told those that it has stopped already."""
        self._finish(drain_s=0.0)

    # The steps of a job

    def apply_async(
        self,
        target: Callable[..., tuple[int, Any, Any]],
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Job | None:
        """Start a job; `options` has the callbacks through which Celery's request is told of its fate.

        The arguments are not logged, as they are by Celery's own pools: they are the message.
        """
        if not self.active:
            return None  # not accepted, so the message is restored when the channel closes
        name, uuid, request, *_ = args or ()
        task = self.app.tasks[name]
        has_limits = getattr(task, "has_limits", True)
        job = Job(
            pid=next(self._pids),
            uuid=uuid,
            task=task,
            request=request,
            trace=partial(target, *(args or ()), **(kwargs or {})),
            celery=options,
            soft_limit_s=(options.get("soft_timeout") or self.options.get("soft_timeout")) if has_limits else None,
            hard_limit_s=(options.get("timeout") or self.options.get("timeout")) if has_limits else None,
        )
        logger.debug("Task %s is job %d", uuid, job.pid)
        self._jobs[job.pid] = job
        options["accept_callback"](job.pid, job.started_at)
        if isinstance(job.task, AsyncTask):
            self._loop.call(self._begin, job)
        else:
            self._sync_runners.submit(partial(self._record, job))
        return job

    def _begin(self, job: Job) -> None:
        job.start().add_done_callback(partial(self._end, job))
        for limit_s, strike in ((job.soft_limit_s, self._strike_softly), (job.hard_limit_s, self._strike_hard)):
            if limit_s:
                job.clocks.append(self._loop.loop.call_later(limit_s, strike, job))

    def _strike_softly(self, job: Job) -> None:
        job.celery["timeout_callback"](True, job.soft_limit_s)  # noqa: FBT003 - Celery's signature; this one only logs
        job.stop(Why.SOFT_LIMIT)

    def _strike_hard(self, job: Job) -> None:
        job.stop(Why.HARD_LIMIT)
        self._report(job, partial(job.celery["timeout_callback"], False, job.hard_limit_s))  # noqa: FBT003

    def _end(self, job: Job, run: asyncio.Task[Any]) -> None:
        job.stop_clocks()
        if job.stopped_for is Why.HARD_LIMIT:
            ending = "cancelled" if run.cancelled() else "failed" if run.exception() else "finished"
            logger.warning("Task %s had its hard time limit behind it and has now %s", job.uuid, ending)
        elif (outcome := job.outcome()) is None:
            self._report(job, None)
        elif job.is_written_down:
            self._record(job, outcome)
        else:
            self._recorders.submit(partial(self._record, job, outcome))

    def _record(self, job: Job, outcome: asyncio.Future[Any] | None = None) -> None:
        job.is_recording = True
        if self._books_are_closed:
            job.is_recording = False  # too late: its message goes back to the queue
            return
        self._report(job, job.record(outcome))

    def _report(self, job: Job, report: Report | None) -> None:
        self._reports.put((job, report))
        if self._hub is None:
            self._settle_all()
        else:
            self._hub.call_soon(self._settle_all)

    def _settle_all(self) -> None:
        if not self._settle_next(timeout_s=0.0):
            return  # an earlier call has settled this report with its own
        while self._settle_next(timeout_s=0.0):
            pass
        if self._hub is not None:
            # Celery has put the acknowledgements off to the hub's next round, and kombu's hub, when asked on its own
            # thread, sleeps up to a second before it: the call from another thread wakes it.
            self._loop.call(self._hub.call_soon, noop)

    def _settle_next(self, timeout_s: float) -> bool:
        try:
            job, report = self._reports.get(block=timeout_s > 0, timeout=timeout_s)
        except Empty:
            return False
        self._settle(job, report)
        return True

    def _settle(self, job: Job, report: Report | None) -> None:
        del self._jobs[job.pid]
        try:
            if report is not None:
                report()
            elif self._is_finishing:
                hand_back(job.delivery_tag)  # another worker need not wait until the last job has ended here
        except Exception as error:  # noqa: BLE001 - the hub has all other jobs to settle
            # The text of an error may hold what a mail holds.
            logger.error("Task %s: %s while Celery was told of its fate", job.uuid, type(error).__name__)
        if self._slots is not None and self.active and len(self._jobs) < self.limit:
            self._slots.release()

    # Stopping

    def terminate_job(self, pid: int, signal: int | None = None) -> None:  # noqa: ARG002 - Celery's signature
        """Stop one job: Celery has revoked its task, or shuts down without waiting. Signals mean nothing here."""
        if job := self._jobs.get(pid):
            self._loop.call(job.stop, Why.STOPPED)

    def _hurry(self, **_: Any) -> None:
        """Wait no longer for jobs to end by themselves: a second SIGTERM. Called by a handler of signals: a flag, no more."""
        self._is_hurried = self._is_finishing

    def _finish(self, drain_s: float) -> None:
        if self._is_finishing:
            return
        self._is_finishing = True
        try:
            self._wind_up(drain_s)
        except WorkerTerminate:
            logger.warning("Told not to wait any longer: what has not ended is left behind, to be run again")
        self._books_are_closed = True
        self._loop.stop(self._say_last_words, LAST_WORDS_S)

    def _wind_up(self, drain_s: float) -> None:
        self._loop.call(partial(loop_draining.send, sender=self))
        self._settle_until(lambda: self._is_hurried or all(job.stopped_for for job in self._running()), drain_s)
        if late := [job for job in self._running() if job.stopped_for is None]:
            waited = "told to hurry" if self._is_hurried else f"after {drain_s:g} s"
            logger.warning("%d tasks still run (%s): they are stopped, to be run again", len(late), waited)
        for job in late:
            self._loop.call(job.stop, Why.STOPPED)
        self._settle_until(lambda: not self._jobs, self._setting("postroom_cancel_s", CANCEL_S))
        self._books_are_closed = True
        self._settle_until(lambda: not any(job.is_recording for job in self._running()), RECORD_S)
        for job in self._running():
            logger.error("Task %s did not end: it is left behind, to be run again", job.uuid)

    def _settle_until(self, is_over: Callable[[], bool], timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while not is_over() and (left_s := deadline - time.monotonic()) > 0:
            self._settle_next(min(left_s, LOOK_S))

    async def _say_last_words(self) -> None:
        answers = [answer for _, answer in loop_stopping.send(sender=self) if inspect.isawaitable(answer)]
        for error in await asyncio.gather(*answers, return_exceptions=True):
            if isinstance(error, BaseException):
                logger.error("%s in a receiver of loop_stopping", type(error).__name__)

    # Size and state, as Celery's remote control asks for them

    def grow(self, n: int = 1) -> None:
        """Let `n` more jobs run at a time."""
        self._resize(self.limit + n)

    def shrink(self, n: int = 1) -> None:
        """Let `n` fewer jobs run at a time; those that run go on."""
        if n >= self.limit:
            raise ValueError(f"a pool of {self.limit} cannot shrink by {n}")
        self._resize(self.limit - n)

    def flush(self) -> None:
        """Count the slots again: on a lost connection Celery forgets what waited for one, but the jobs go on."""
        self._resize(self.limit)

    @property
    def loop_turned_at(self) -> float:
        """When the loop last had its turn, by the monotonic clock: a process whose loop stands must lose its leases."""
        return self._loop.turned_at

    @property
    def in_flight(self) -> int:
        """How many messages have a slot; any thread may ask."""
        return len(self._jobs)

    @property
    def delivery_tags(self) -> set[str]:
        """The tags of the messages that are worked at; asked on the hub's thread."""
        return {job.delivery_tag for job in self._running()}

    def _resize(self, limit: int) -> None:
        self.limit = limit
        if self._slots is None:
            return
        self._slots.initial_value, self._slots.value = limit, 0
        for _ in range(limit - len(self._jobs)):
            self._slots.release()

    def _running(self) -> list[Job]:
        return list(self._jobs.values())

    def _setting(self, name: str, default: float) -> float:
        return float(self.app.conf.get(name, default))

    def _get_info(self) -> dict[str, Any]:
        info: dict[str, Any] = super()._get_info()  # type: ignore[misc] # the stubs lack it
        return info | {"running": len(self._jobs)}
