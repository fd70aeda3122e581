"""The worker tells Redis every few seconds that it lives, so that `postroom doctor` can count workers and compare keys.

Owns the thread that does it and its place in the life of a Celery worker. What is told, and under which key, is
`postroom_broker.presence`'s. Nothing depends on it: where Redis is away it is told later, and a failure only loses a line
of the doctor's.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import uuid
from collections.abc import Callable
from typing import Any

from celery import bootsteps

from postroom_broker.connection import connect
from postroom_broker.presence import SHOW_EVERY_S, Presence, show, withdraw
from postroom_contract.errors import BrokerUnavailable

logger = logging.getLogger(__name__)

# Longer than one slow answer; a process that ends does not wait for more.
STOP_TIMEOUT_S = 2.0


class Beat:
    """The thread: tells a presence until it is stopped, and then that the worker is gone."""

    def __init__(self, url: str, presence: Presence, standstill_s: Callable[[], float]) -> None:
        self._client = connect(url)
        self._presence = presence
        self._standstill_s = standstill_s
        # Two workers may have the same name; an operator is told of both.
        self._id = uuid.uuid4().hex[:12]
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="postroom-presence", daemon=True)

    def start(self) -> None:
        """Tell it from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Tell that the worker is gone."""
        self._stopping.set()
        self._thread.join(STOP_TIMEOUT_S)

    def _beat(self) -> None:
        is_away = False
        while True:
            try:
                show(self._client, self._id, self._presence.standing_still_for(self._standstill_s()))
                is_away = False
            except BrokerUnavailable as away:
                if not is_away:
                    logger.info("Redis is not told that this worker lives: %s", type(away.__cause__).__name__)
                is_away = True
            if self._stopping.wait(SHOW_EVERY_S):
                break
        with contextlib.suppress(BrokerUnavailable):
            withdraw(self._client, self._id)
        self._client.close()


class ShowPresence(bootsteps.StartStopStep):
    """Starts and ends the beat with the worker."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, worker: Any, **options: Any) -> None:
        self._beat: Any = None
        super().__init__(worker, **options)

    def start(self, worker: Any) -> None:
        """Tell it as soon as the pool is there."""
        self._beat = worker.app.presence_of(worker)
        self._beat.start()

    def stop(self, parent: Any) -> None:  # noqa: ARG002 -- Celery's own signature
        """Tell that it is gone: it ends what it has begun, and takes no more."""
        if self._beat is not None:
            self._beat.stop()

    def terminate(self, parent: Any) -> None:
        """Tell the same when a second SIGTERM ends it."""
        self.stop(parent)
