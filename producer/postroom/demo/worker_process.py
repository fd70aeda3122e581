"""The demo's worker: the real one, in a process of its own, told everything by its environment.

Owns what a worker's environment is and how its readiness shows. The worker package itself is never imported here.
"""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from postroom.demo.child import Child
from postroom.demo.interruption import Interruption

# How Celery's worker announces that it consumes; nothing else in its log ends a line like this.
READY = " ready."
# What the person's own environment may hold for workers of theirs, and must not reach ours.
NOT_OURS = ("POSTROOM_", "CELERY_", "SSL_CERT_")
# An interrupted demo must not wait for the sends in flight as a real worker does.
DRAIN_S = "2"


@contextmanager
def running_worker(settings: Mapping[str, str], folder: Path, interruption: Interruption) -> Iterator[Child]:
    """Run a worker, and give its process once it takes messages.

    Raises:
        ChildFailed: it does not start.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(NOT_OURS)}
    environment = {**inherited, "POSTROOM_DRAIN_S": DRAIN_S, **settings}
    with Child("worker", [sys.executable, "-m", "postroom_worker"], folder, environment) as worker:
        worker.wait_until_ready(lambda: READY in worker.log(), interruption)
        yield worker
