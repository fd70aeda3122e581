"""Shows to whatever watches over a worker that it works: from when it takes mail until it is told to stop.

Owns the rule. A worker works while the loop that sends the mail turns and the keeper of its leases goes on with its rounds. Redis
being away is not its fault: it fails those rounds, and the worker stays healthy, because one that is killed meanwhile forgets what
became of its mail, and the next one would find no Redis either. Where it is shown is `sign_of_life`'s business.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from celery import bootsteps, signals

from postroom_broker.transport import keepers_stand_still_s, shows_life
from postroom_contract.sign_of_life import SignOfLife

# Several times within the 15 s after which a sign counts as old (ops/README.md).
SHOW_EVERY_S = 1.0
# A round of the keeper ends with a Redis that is away as well: at once, or after 15 s where it does not answer. A slow Redis
# may take nearly as long over each of a round's few commands.
LONGEST_ROUND_S = 90.0


class Health:
    """The thread that looks and shows."""

    def __init__(self, sign: SignOfLife, is_well: Callable[[], bool]) -> None:
        self._sign = sign
        self._is_well = is_well
        self._is_draining = False
        self._thread = threading.Thread(target=self._watch, name="postroom-health", daemon=True)

    def begin(self) -> None:
        """Show it from now on: the worker takes mail. Asking again does nothing."""
        if self._thread.ident is None:
            self._thread.start()

    def drain(self) -> None:
        """Show no longer that it takes mail. A handler of signals may call this: it takes no lock, and logs nothing."""
        self._is_draining = True
        self._sign.withdraw()

    def _watch(self) -> None:
        while True:  # it ends with the process
            if self._is_well():
                self._show()
            time.sleep(SHOW_EVERY_S)

    def _show(self) -> None:
        if self._drains():
            self._sign.show_draining()
            return
        self._sign.show()
        if self._drains():  # the signal came meanwhile
            self._sign.withdraw()

    def _drains(self) -> bool:
        return self._is_draining


class ShowHealth(bootsteps.StartStopStep):
    """Begins when Celery says that the worker is ready, and ends with the first word that it is to stop."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, worker: Any, **options: Any) -> None:
        super().__init__(worker, **options)
        self._health = Health(SignOfLife.from_env(), is_well)
        signals.worker_ready.connect(self._begin)
        signals.worker_shutting_down.connect(self._drain)

    def start(self, parent: Any) -> None:
        """Nothing yet: it takes no mail before it has found Redis."""

    def stop(self, parent: Any) -> None:  # noqa: ARG002 -- Celery's own signature
        """Whoever ended it by another way than a signal has said nothing before."""
        self._health.drain()

    def terminate(self, parent: Any) -> None:
        """The same for a second SIGTERM."""
        self.stop(parent)

    def _begin(self, **_: Any) -> None:
        self._health.begin()

    def _drain(self, **_: Any) -> None:
        self._health.drain()


def is_well() -> bool:
    """Whether this process works."""
    return shows_life() and keepers_stand_still_s() < LONGEST_ROUND_S
