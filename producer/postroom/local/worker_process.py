"""A worker on this machine: the real one, in a process of its own, told everything by its environment.

Owns what a worker's environment is and how its readiness shows. The worker package itself is never imported here.
"""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from postroom.local.child import Child
from postroom.local.interruption import Interruption

# How Celery's worker announces that it consumes; nothing else in its log ends a line like this.
READY = " ready."
# What the person's own environment may hold for workers of theirs, and must not reach ours.
NOT_OURS = ("POSTROOM_", "CELERY_", "SSL_CERT_")
# Who interrupts a demo or a test must not wait for the sends in flight as a real worker does.
DRAIN_S = "2"


@contextmanager
def running_worker(
    settings: Mapping[str, str],
    folder: Path,
    interruption: Interruption,
    *,
    stop_timeout_s: float | None = None,
    held: Sequence[int] = (),
) -> Iterator[Child]:
    """Run a worker, and give its process once it takes messages.

    Args:
        settings: its environment, besides what is inherited.
        folder: where it runs.
        interruption: what may end the wait for it.
        stop_timeout_s: how long it may take to end.
        held: open files that it keeps open as well.

    Raises:
        ChildFailed: it does not start.
    """
    environment = {"POSTROOM_DRAIN_S": DRAIN_S, **environment_of(settings)}
    command = [sys.executable, "-m", "postroom_worker"]
    with Child("worker", command, folder, environment, stop_timeout_s=stop_timeout_s, held=held) as worker:
        worker.wait_until_ready(lambda: READY in worker.log(), interruption)
        yield worker


def environment_of(settings: Mapping[str, str]) -> dict[str, str]:
    """The environment of a program of ours: this process's, without what a person has set for programs of theirs."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(NOT_OURS)}
    return {**inherited, **settings}
