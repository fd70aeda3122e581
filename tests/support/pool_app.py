"""A small Celery app on the asyncio pool, made for its tests: `celery -A tests.support.pool_app worker`.

Its tasks write what happens to them into a journal, and those that take time wait until the test opens a gate, so that
no test depends on how fast the machine is. Journal and gates are files, in a directory that test and worker share.
"""

import asyncio
import json
import os
import threading
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from celery import Celery, Task
from celery.app.task import Context
from celery.signals import worker_process_init

from postroom_worker.async_task import AsyncTask, RetryLater
from postroom_worker.pool import TaskPool, loop_stopping
from tests.support.waiting import wait_until, wait_until_async

# Longer than any test: a gate that is never opened ends the wait of a worker that was forgotten.
GATE_TIMEOUT_S = 60.0

BROKER = "POOL_APP_BROKER"
QUEUE = "POOL_APP_QUEUE"
DIRECTORY = "POOL_APP_DIRECTORY"
SETTINGS = "POOL_APP_SETTINGS"


class Journal:
    """What the tasks of one test wrote, and the gates that it opens."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def write(self, event: str, name: str) -> None:
        """Add a line; lines of several threads and processes do not mix. The test's own process has no journal."""
        if not self._directory.is_dir():
            return
        with (self._directory / "journal").open("a", encoding="utf-8") as file:
            file.write(f"{event} {name}\n")

    def count(self, event: str, name: str | None = None) -> int:
        """Return how often something happened, to one task or to all."""
        return sum(line[0] == event and name in (None, line[1]) for line in self.lines())

    def lines(self) -> list[list[str]]:
        """Return all events in their order, each with the name of its task."""
        file = self._directory / "journal"
        return [line.split(" ", 1) for line in file.read_text().splitlines()] if file.exists() else []

    def open_gate(self, name: str) -> None:
        """Let everything pass that waits for this gate."""
        (self._directory / f"gate-{name}").touch()

    def is_open(self, name: str) -> bool:
        """Say whether a gate has been opened."""
        return (self._directory / f"gate-{name}").exists()


class Echo(AsyncTask):
    """Returns its argument, and what its request knows."""

    name = "test.echo"

    async def arun(self, request: Context, /, value: Any, **more: Any) -> dict[str, Any]:
        assert request.delivery_info is not None
        return {
            "value": value,
            **more,
            "id": request.id,
            "retries": request.retries,
            "routing_key": request.delivery_info["routing_key"],
            "header": (request.headers or {}).get("colour"),
            "thread": threading.current_thread().name,
        }


class Fail(AsyncTask):
    """Raises what it is told to raise."""

    name = "test.fail"

    RAISES: ClassVar[Mapping[str, type[BaseException]]] = {
        error.__name__: error for error in (ValueError, SystemExit, MemoryError, asyncio.CancelledError)
    }

    async def arun(self, request: Context, /, kind: str, text: str) -> None:
        raise self.RAISES[kind](text)


class Retrying(AsyncTask):
    """Asks to be run again until it has been retried `times` times."""

    name = "test.retrying"

    async def arun(self, request: Context, /, times: int, after_s: float) -> str | RetryLater:
        journal.write("start", str(request.retries))
        if request.retries < times:
            return RetryLater(after_s, ValueError("not yet"))
        return f"after {request.retries} retries"


class Hold(AsyncTask):
    """Runs until its gate opens, unless it is stopped."""

    name = "test.hold"

    async def arun(self, request: Context, /, name: str, gate: str = "hold") -> str:
        journal.write("start", name)
        try:
            await wait_until_async(lambda: journal.is_open(gate), GATE_TIMEOUT_S)
        except asyncio.CancelledError:
            journal.write("stopped", name)
            raise
        journal.write("finish", name)
        return name


class Commit(AsyncTask):
    """Cannot be stopped, as a mail cannot whose last byte has left: it waits for its gate whatever happens."""

    name = "test.commit"

    async def arun(self, request: Context, /, name: str, gate: str) -> str:
        journal.write("start", name)
        reply = asyncio.ensure_future(wait_until_async(lambda: journal.is_open(gate), GATE_TIMEOUT_S))
        try:
            await asyncio.shield(reply)
        except asyncio.CancelledError:
            journal.write("asked", name)
            await reply
        journal.write("finish", name)
        return name


def make_app(environment: Mapping[str, str]) -> Celery:
    """Return the app that the environment describes: in a test, its producer; in a worker, all it needs."""
    app = Celery("pool_app", broker=environment[BROKER], backend=environment[BROKER], set_as_current=False)
    app.conf.update(
        worker_pool="postroom_worker.pool:TaskPool",
        worker_concurrency=4,
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        task_default_queue=environment[QUEUE],
        task_acks_late=True,
        task_store_errors_even_if_ignored=True,
        broker_connection_retry_on_startup=True,
        result_expires=600,
        # A result server that has gone is given up at once, not after Celery's twenty attempts.
        result_backend_transport_options={"retry_policy": {"max_retries": 1}},
    )
    app.conf.update(json.loads(environment.get(SETTINGS, "{}")))
    for task in (Echo, Fail, Retrying, Hold, Commit):
        app.register_task(task())
    app.register_task(_sync_task(app))
    return app


def _sync_task(app: Celery) -> Task[Any, Any]:
    @app.task(name="test.add", shared=False)
    def add(a: int, b: int, gate: str | None = None) -> list[object]:
        if gate is not None:
            journal.write("start", gate)
            wait_until(lambda: journal.is_open(gate), GATE_TIMEOUT_S)
        return [a + b, threading.current_thread().name]

    return add


@worker_process_init.connect
def _set_up(**_: object) -> None:
    journal.write("set-up", threading.current_thread().name)


@loop_stopping.connect
async def _say_last_words(sender: TaskPool, **_: object) -> None:
    journal.write("last-words", threading.current_thread().name)


def __getattr__(name: str) -> Any:
    """Make the app or the journal from the environment, where a worker needs them."""
    if name != "app":
        raise AttributeError(name)
    return _app_of_this_worker()


@cache
def _app_of_this_worker() -> Celery:
    return make_app(os.environ)


journal = Journal(Path(os.environ.get(DIRECTORY, os.devnull)))
