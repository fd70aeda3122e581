"""How many tiny tasks a worker consumes in a second: kombu's own Redis transport against ours, in one run.

Both use the same pool, slots and settings and take turns on one server, so that a busy machine slows both alike; what counts
is the ratio of the medians: `python ops/bench/transport.py [tasks] [rounds]`. The worker's app is in this file too.
"""

from __future__ import annotations

import logging
import os
import statistics
import sys
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import Any

from celery import Celery
from celery.app.task import Context

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from postroom_worker.async_task import AsyncTask  # noqa: E402 -- after the path
from tests.support.celery_worker import CeleryWorker  # noqa: E402
from tests.support.valkey import ValkeyServer, connect, find_server  # noqa: E402
from tests.support.waiting import wait_until  # noqa: E402

TASKS = 8000
ROUNDS = 3
CONCURRENCY = 200
QUEUE = "postroom.bench"
TIMEOUT_S = 120.0

# How the worker's process learns what to measure.
URL, IS_OURS = "TRANSPORT_BENCH_URL", "TRANSPORT_BENCH_IS_OURS"


class Nothing(AsyncTask):
    """Does nothing."""

    name = "bench.nothing"

    async def arun(self, request: Context, /) -> None:
        """Return at once."""


def make_app(url: str, *, is_ours: bool) -> Celery:
    """The app, on one transport or the other; the settings are the best known for both."""
    for chatty in ("celery.app.trace", "celery.worker.strategy"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    app = Celery("bench", broker=url, set_as_current=False)
    app.conf.update(
        worker_pool="postroom_worker.pool:TaskPool",
        worker_concurrency=CONCURRENCY,
        worker_prefetch_multiplier=1,
        worker_disable_rate_limits=True,
        task_default_queue=QUEUE,
        task_acks_late=True,
        task_ignore_result=True,
        broker_connection_retry_on_startup=True,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_transport_options={"visibility_timeout": 3600, "priority_steps": [0]},
    )
    if is_ours:
        app.conf.broker_transport = "postroom_broker.transport:Transport"
    app.register_task(Nothing())
    return app


def measure(url: str, folder: Path, *, is_ours: bool, tasks: int) -> float:
    """Fill the queue, let a worker empty it, and return its rate (tasks a second), start and end left out."""
    with connect(url) as client, make_app(url, is_ours=is_ours) as app:
        client.flushall()
        app.tasks["bench.nothing"].apply_async()
        message: Any = client.rpop(QUEUE)
        with client.pipeline(transaction=False) as pipe:
            for number in range(tasks):
                pipe.lpush(QUEUE, message.replace(b'"delivery_tag": "', b'"delivery_tag": "%d-' % number))
            pipe.execute()

        def left_when(share: float) -> tuple[int, float]:
            wait_until(lambda: int(client.llen(QUEUE)) <= tasks * share, TIMEOUT_S, "the worker to consume")
            return int(client.llen(QUEUE)), time.monotonic()

        environment = {URL: url, **({IS_OURS: "yes"} if is_ours else {})}
        with CeleryWorker("ops.bench.transport:app", folder / "worker.log", environment):
            (first_left, first_at), (last_left, last_at) = left_when(0.9), left_when(0.1)
            wait_until(lambda: not client.hlen("unacked"), TIMEOUT_S, "the last acknowledgement")
    return (first_left - last_left) / (last_at - first_at)


def main() -> None:
    """Measure in turns, and print the medians and their ratio."""
    tasks = int(sys.argv[1]) if len(sys.argv) > 1 else TASKS
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else ROUNDS  # noqa: PLR2004 -- the second argument
    program = find_server()
    assert program is not None, "no Valkey or Redis server on this machine"
    rates: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(rounds):
        for is_ours, found in rates.items():
            with tempfile.TemporaryDirectory() as name, ValkeyServer(program, Path(name)) as server:
                found.append(measure(server.url, Path(name), is_ours=is_ours, tasks=tasks))
    stock, ours = statistics.median(rates[False]), statistics.median(rates[True])
    print(f"  stock transport {stock:6.0f} tasks/s   {' '.join(f'{rate:.0f}' for rate in rates[False])}")
    print(f"  our transport   {ours:6.0f} tasks/s   {' '.join(f'{rate:.0f}' for rate in rates[True])}")
    print(f"  ratio           {ours / stock:6.2f}")


@cache
def _app_of_this_worker() -> Celery:
    return make_app(os.environ[URL], is_ours=IS_OURS in os.environ)


def __getattr__(name: str) -> Any:
    """Make the app where a worker asks for it."""
    if name != "app":
        raise AttributeError(name)
    return _app_of_this_worker()


if __name__ == "__main__":
    main()
