"""How many tiny tasks a worker consumes in a second on kombu's own Redis transport and on ours, and what that costs the broker.

What is compared uses the same pool, slots and settings and takes turns, each on a fresh server, so that a busy machine slows
both alike; what counts is the ratio of the medians. The cost is the server's own processor time for each message that our
transport takes, with `--deep` others queued behind it and with a few. The worker's app is in this file too.
"""

from __future__ import annotations

import argparse
import logging
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
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

# A short queue, to which a long one is compared, and what a worker consumes before its cost is counted.
SHALLOW = 10_000
WARM_UP = 1000
# The broker takes some 20 us for a message: fewer messages would drown in what else a machine does.
COSTED = 20_000
PUSHED_AT_ONCE = 1000
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


def fill(client: Any, url: str, messages: int, *, is_ours: bool) -> None:
    """Empty the server, and queue so many messages as the transport's producer writes them."""
    client.flushall()
    with make_app(url, is_ours=is_ours) as app:
        app.tasks["bench.nothing"].apply_async()
    message: Any = client.rpop(QUEUE)
    for first in range(0, messages, PUSHED_AT_ONCE):
        numbers = range(first, min(first + PUSHED_AT_ONCE, messages))
        client.lpush(QUEUE, *(message.replace(b'"delivery_tag": "', b'"delivery_tag": "%d-' % n) for n in numbers))


@contextmanager
def worker(url: str, folder: Path, *, is_ours: bool) -> Iterator[None]:
    """A worker on one transport or the other."""
    environment = {URL: url, **({IS_OURS: "yes"} if is_ours else {})}
    with CeleryWorker("ops.bench.transport:app", folder / "worker.log", environment):
        yield


def wait_for_length(client: Any, length: float) -> int:
    """Wait until no more than so many messages are queued, and return how many there are."""
    wait_until(lambda: client.llen(QUEUE) <= length, TIMEOUT_S, "the worker to consume")
    return int(client.llen(QUEUE))


def rate(url: str, folder: Path, *, is_ours: bool, tasks: int) -> float:
    """Fill the queue, let a worker empty it, and return its rate (tasks a second), start and end left out."""
    with connect(url) as client:
        fill(client, url, tasks, is_ours=is_ours)
        with worker(url, folder, is_ours=is_ours):
            first_left, first_at = wait_for_length(client, tasks * 0.9), time.monotonic()
            last_left, last_at = wait_for_length(client, tasks * 0.1), time.monotonic()
            wait_until(lambda: not client.hlen("unacked"), TIMEOUT_S, "the last acknowledgement")
    return (first_left - last_left) / (last_at - first_at)


def broker_cost(url: str, folder: Path, *, depth: int, tasks: int = COSTED) -> float:
    """Microseconds of the server's processor time for each message consumed while `depth` others are queued behind."""
    with connect(url) as client:
        fill(client, url, depth + tasks + WARM_UP, is_ours=True)
        with worker(url, folder, is_ours=True):
            first_left, first_s = wait_for_length(client, depth + tasks), _processor_s(client)
            last_left, last_s = wait_for_length(client, depth), _processor_s(client)
            # What is left is no part of it, and a worker that is told to stop hands back what it holds.
            client.unlink(QUEUE)
    return (last_s - first_s) / (first_left - last_left) * 1e6


def _processor_s(client: Any) -> float:
    used = client.info("cpu")
    return float(used["used_cpu_user"] + used["used_cpu_sys"])


def main() -> None:
    """Measure in turns, and print the medians and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=8000, help="tasks consumed in one measurement of the rate")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--deep", type=int, default=100_000, help="messages queued behind (500000: half a gigabyte)")
    asked = parser.parse_args()
    program = find_server()
    assert program is not None, "no Valkey or Redis server on this machine"

    def in_turns(measures: dict[str, Callable[[str, Path], float]]) -> dict[str, list[float]]:
        found: dict[str, list[float]] = {name: [] for name in measures}
        for _ in range(asked.rounds):
            for name, measure in measures.items():
                with tempfile.TemporaryDirectory() as folder, ValkeyServer(program, Path(folder)) as server:
                    found[name].append(measure(server.url, Path(folder)))
        return found

    rates = in_turns(
        {
            "stock transport": partial(rate, is_ours=False, tasks=asked.tasks),
            "our transport": partial(rate, is_ours=True, tasks=asked.tasks),
        }
    )
    show(rates, "tasks/s")
    costs = in_turns({f"{depth} queued": partial(broker_cost, depth=depth) for depth in (SHALLOW, asked.deep)})
    show(costs, "us of the broker for each message")


def show(found: dict[str, list[float]], unit: str) -> None:
    """Print the medians, and how the second compares with the first."""
    for name, each in found.items():
        print(f"  {name:<16} {statistics.median(each):7.1f} {unit}   {' '.join(f'{one:.1f}' for one in each)}")
    first, second = map(statistics.median, found.values())
    print(f"  {'ratio':<16} {second / first:7.2f}")


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
