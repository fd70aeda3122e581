"""The two sides that a storm is run against: what the harness needs to know of either.

Owns the interface alone. `postroom_side` is Postroom, `stock_side` a stock Celery worker with smtplib.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tests.chaos.judge import Told
from tests.chaos.mails import Mail
from tests.chaos.news import Word
from tests.support.celery_worker import CeleryWorker


@dataclass(frozen=True)
class Capacity:
    """What one worker process has at once; few connections let mail pile up in it, where a kill finds it."""

    concurrency: int = 20
    connections: int = 3


class NotHandedOver(Exception):
    """Redis was away; `delivery_id` is known where the mail may be queued all the same."""

    def __init__(self, delivery_id: str | None) -> None:
        super().__init__("Redis is away")
        self.delivery_id = delivery_id


class Side(Protocol):
    """What is tested."""

    name: str

    def worker(self, name: str, folder: Path) -> CeleryWorker:
        """A worker process, not yet started, that calls itself `name` at the SMTP server."""

    def post(self, mail: Mail) -> str:
        """Hand a mail over and return its delivery id. Many threads call at once.

        Raises:
            NotHandedOver: Redis is away.
        """

    def told(self, delivery_id: str) -> Told | None:
        """The outcome, or None where there is none yet."""

    def words(self) -> Sequence[Word] | None:
        """What a host was told of ends; None where this side tells none."""

    def waiting(self) -> int:
        """How many messages lie in the queue, at a worker, or for later."""

    def held(self) -> int:
        """How many of these a worker has taken."""

    def dead(self) -> int:
        """How many messages have been put aside for good."""

    def close(self) -> None:
        """Close the connections."""
