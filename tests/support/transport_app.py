"""The small Celery app of the pool's tests, on our transport: `celery -A tests.support.transport_app worker`.

It has Postroom's three queues, and leases short enough for a test to see one lapse. The same app with the stock transport
(`stock=True`, or the variable) is the other side where both share a queue.
"""

import os
import time
from collections.abc import Mapping
from functools import cache
from typing import Any

from celery import Celery, bootsteps
from celery.app.task import Context
from kombu import Queue

from postroom_broker.transport import renew_only_while
from postroom_contract.names import QUEUE_NORMAL, QUEUES
from postroom_worker.async_task import AsyncTask
from tests.support import pool_app
from tests.support.waiting import wait_until

# Short, yet long enough for a loaded two-core machine to renew in time.
LEASE_S = 2.5

# Two beats of the pool's loop.
ALIVE_S = 1.0

STOCK = "TRANSPORT_APP_STOCK"


class ShowLife(bootsteps.StartStopStep):
    """Lets a worker keep its leases only while the loop of its pool turns."""

    requires = ("celery.worker.components:Pool",)

    def start(self, worker: Any) -> None:
        renew_only_while(lambda: time.monotonic() - worker.pool.loop_turned_at < ALIVE_S)


class Wedge(AsyncTask):
    """Blocks the loop of its worker, and with it all other tasks, until its gate opens."""

    name = "test.wedge"

    async def arun(self, request: Context, /, name: str) -> None:
        pool_app.journal.write("start", name)
        wait_until(lambda: pool_app.journal.is_open("wedge"), pool_app.GATE_TIMEOUT_S)
        pool_app.journal.write("finish", name)


def make_app(environment: Mapping[str, str], *, stock: bool = False) -> Celery:
    """Return the app that the environment describes, as `pool_app` does."""
    app = pool_app.make_app({pool_app.QUEUE: QUEUE_NORMAL, **environment})
    options: dict[str, object] = {"visibility_timeout": LEASE_S, "priority_steps": [0]}
    if not stock:
        app.conf.broker_transport = "postroom_broker.transport:Transport"
        app.steps["worker"].add(ShowLife)
    app.register_task(Wedge())
    app.conf.update(
        task_queues=[Queue(name, routing_key=name) for name in QUEUES],
        task_default_routing_key=QUEUE_NORMAL,
        task_ignore_result=True,
        broker_connection_max_retries=None,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        postroom_drain_s=0.5,
        postroom_cancel_s=1.0,
        broker_transport_options={**options, **app.conf.broker_transport_options},
    )
    return app


def __getattr__(name: str) -> Any:
    """Make the app from the environment, where a worker needs it."""
    if name != "app":
        raise AttributeError(name)
    return _app_of_this_worker()


@cache
def _app_of_this_worker() -> Celery:
    return make_app(os.environ, stock=STOCK in os.environ)
