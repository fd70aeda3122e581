"""A stock Celery worker with smtplib, for the same storm: what a program without Postroom has.

Its result backend knows success and failure of a task and nothing else: no flags, no unknown outcomes.
"""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

from celery.exceptions import CeleryError
from kombu.exceptions import OperationalError

from tests.chaos import stock_app
from tests.chaos.judge import BUDGET_ATTEMPTS, Told
from tests.chaos.mails import DOMAIN, Mail
from tests.chaos.side import Capacity, NotHandedOver
from tests.support.celery_worker import CeleryWorker
from tests.support.valkey import connect

QUEUE = "celery"
# What kombu puts behind a queue's name for its other priorities.
PRIORITIES = ("", "\x06\x163", "\x06\x166", "\x06\x169")


class StockSide:
    """The application's end: publishing with Celery, reading its results."""

    name = "stock"

    def __init__(self, redis_url: str, smtp_port: int, capacity: Capacity) -> None:
        self._url = redis_url
        self._port = smtp_port
        self._capacity = capacity
        self._app = stock_app.make_app(redis_url)
        self._redis = connect(redis_url)

    def worker(self, name: str, folder: Path) -> CeleryWorker:
        options = ("--pool", "threads", "--concurrency", str(self._capacity.concurrency), "--hostname", f"{name}@%h")
        variables = {"CHAOS_REDIS": self._url, "CHAOS_NAME": name}
        return CeleryWorker("tests.chaos.stock_app", folder / f"{name}.log", variables, options)

    def post(self, mail: Mail) -> str:
        delivery_id = str(uuid.uuid4())
        letter = {
            "sender": mail.sender,
            "recipients": mail.recipients,
            "everybody": len(mail.recipients),
            "message_id": f"<{delivery_id}@{DOMAIN}>",
            "body": mail.body,
        }
        try:
            self._app.send_task("stock.send", (self._port, letter), task_id=delivery_id)
        except (OperationalError, CeleryError, OSError) as away:
            # It does not say whether the message is queued.
            raise NotHandedOver(delivery_id) from away
        return delivery_id

    def told(self, delivery_id: str) -> Told | None:
        result: Any = self._app.AsyncResult(delivery_id)
        if result.state == "SUCCESS":
            refused = tuple(result.result)
            return Told("partial" if refused else "sent", refused=refused)
        if result.state == "FAILURE":
            # It does not say why; the benefit of the doubt.
            return Told("failed", attempts=BUDGET_ATTEMPTS)
        return None

    def words(self) -> None:
        return None

    def waiting(self) -> int:
        queued = sum(int(self._redis.llen(QUEUE + priority)) for priority in PRIORITIES)
        return queued + self.held()

    def held(self) -> int:
        return int(self._redis.hlen("unacked"))

    def dead(self) -> int:
        return 0

    def close(self) -> None:
        self._app.close()
        self._redis.close()
