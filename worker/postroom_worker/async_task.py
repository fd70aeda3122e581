"""Celery tasks whose work is a coroutine, and requests that show nothing of what they carry.

Owns what a task is to the asyncio pool: `arun`, which the pool awaits, and `run`, through which Celery's own tracer then
learns how it ended. How coroutines are run, limited and stopped is `pool`'s; what they do stands in `tasks`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from celery import Task
from celery.app.task import Context
from celery.exceptions import Ignore, ImproperlyConfigured, Reject, Retry
from celery.result import AsyncResult
from celery.worker.request import Request

# Stands for arguments wherever Celery would print them: headers, events, logs, Flower. Never empty, or Celery falls
# back to the real ones (celery.app.trace).
SEALED = "<sealed>"

_ended: ContextVar[asyncio.Future[Any]] = ContextVar("ended")


class HandBack(Exception):
    """What `arun` raises to have its message delivered again at once, by another worker: this one ends."""


@dataclass(frozen=True)
class RetryLater:
    """What `arun` returns to be run again `after_s` seconds from now because of `error`, with these arguments."""

    after_s: float
    error: Exception
    args: tuple[Any, ...] | None = None  # None: those it was run with
    is_published: bool = False  # the task has seen to it itself: Celery is only told


class AsyncTask(Task[Any, Any]):
    """A task whose work is done in `arun`, on the loop of `postroom_worker.pool:TaskPool`."""

    abstract = True
    Request = "postroom_worker.async_task:SafeRequest"

    # A coroutine that is stopped leaves its message to be delivered again, so none may be acknowledged before.
    acks_late = True
    # Whoever returns `RetryLater` has counted the attempts.
    max_retries = None
    # Whether Celery's time limits end it. They acknowledge its message.
    has_limits = True

    async def arun(self, request: Context, /, *args: Any, **kwargs: Any) -> Any:
        """Do the work. It may return a value or `RetryLater`, or raise: also `HandBack`, and Celery's `Reject` or `Ignore`.

        Stopped (revoked, over its soft limit, at shutdown) it sees one `CancelledError`. Let it pass, and the message is
        delivered again; return or raise something else in time, and that is the outcome.

        Whoever has stored the result, and acknowledged the message, sets `request.ignore_result`: Celery then waits for
        nothing.

        Args:
            request: this execution: id, retries, headers, delivery_info. `self.request` is not set yet.
            args: the arguments of the message.
            kwargs: its keyword arguments.
        """
        raise NotImplementedError

    def run(self, *_args: Any, **_kwargs: Any) -> Any:
        """Tell Celery's tracer, which calls this, how `arun` has ended."""
        try:
            ended = _ended.get()
        except LookupError:
            raise ImproperlyConfigured(f'{self.name} needs worker_pool = "postroom_worker.pool:TaskPool"') from None
        value = ended.result()
        if isinstance(value, RetryLater):
            raise ToldRetry(value) if value.is_published else self._publish_again(value)
        return value

    def apply_async(self, *args: Any, **options: Any) -> AsyncResult[Any]:
        """Publish a message whose headers say nothing of its arguments; `retry` comes through here too."""
        return super().apply_async(*args, **{**options, "argsrepr": SEALED, "kwargsrepr": SEALED})

    def _publish_again(self, later: RetryLater) -> Retry:
        try:
            return self.retry(args=later.args, exc=later.error, countdown=later.after_s, throw=False)
        except Reject as dropped:
            # Celery gives a message up when its retry cannot be published; this one goes back to its queue.
            raise Reject(dropped.args[0], requeue=True) from dropped


class ToldRetry(Retry):
    """A retry that has been published already; Flower shows why and when in these words."""

    def __init__(self, later: RetryLater) -> None:
        # A number of seconds, as `Task.retry` passes it; the stubs ask for an abstract one.
        when: Any = later.after_s
        super().__init__(exc=later.error, when=when)
        self._told = f"{later.error!r}, again in {later.after_s:.0f} s"

    def __repr__(self) -> str:
        return self._told


@contextmanager
def ending_as(ended: asyncio.Future[Any]) -> Iterator[None]:
    """Within this block, `run` of an `AsyncTask` reports what became of `ended`, which is done."""
    token = _ended.set(ended)
    try:
        yield
    finally:
        _ended.reset(token)


class SafeRequest(Request):
    """A request whose arguments no log, event or `inspect` shows, whatever the publisher has put into its headers.

    Its events tell somebody who looks only at Flower how it ended.
    """

    _is_expected = False

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._argsrepr = self._kwargsrepr = SEALED
        self.request_dict.update(argsrepr=SEALED, kwargsrepr=SEALED)

    def info(self, safe: bool = False) -> Any:  # noqa: ARG002, FBT001, FBT002 - Celery's signature
        """Describe the request to `inspect` and Flower: safely, even if the question asks for more."""
        return super().info(safe=True)

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> Any:  # noqa: FBT001, FBT002
        """Tell Celery how it ended, and Flower also of an end that Celery has no event for: there it would run for ever."""
        error = getattr(exc_info.exception, "exc", exc_info.exception)
        self._is_expected = isinstance(error, (Retry, *self.task.throws))
        answer = super().on_failure(exc_info, send_failed_event, return_ok)
        if isinstance(error, Ignore) and error.args:
            self.send_event(f"task-{error.args[0]}")
        return answer

    def send_event(self, type: str, **fields: Any) -> None:  # noqa: A002 -- Celery's signature
        """Send an event. Where our code meant to end like this, a traceback of it tells nobody anything."""
        if self._is_expected and "traceback" in fields:
            fields["traceback"] = None
        if "result" in fields:
            # An outcome names its delivery, which here is the task that it stands beside.
            fields["result"] = str(fields["result"]).replace(f"({self.id}, ", "(")
        super().send_event(type, **fields)
