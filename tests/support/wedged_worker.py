"""A worker whose loop stands still from the moment at which a file appears: what a bug, or a library that blocks, would do.

It is the real worker in all else. Its threads go on, so that only a look at the loop can tell that it does not work.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any
from unittest.mock import patch

from postroom_worker import pool
from tests.support.waiting import wait_until

# The arguments with which an interpreter becomes such a worker, and the variable that names the file.
STARTER = ("-c", "from tests.support.wedged_worker import run_worker; run_worker()")
VARIABLE = "TEST_WEDGE"
# Longer than any test lasts.
FOR_EVER_S = 600.0


def run_worker() -> None:
    """Run a worker that wedges when it is told to."""
    from postroom_worker.__main__ import main  # noqa: PLC0415 -- as an entry point does

    start = pool.TaskPool.on_start

    def start_and_listen(self: Any) -> None:
        start(self)
        file = Path(os.environ[VARIABLE])

        def wedge() -> None:
            wait_until(file.exists, FOR_EVER_S)
            self._loop.call(threading.Event().wait, FOR_EVER_S)

        threading.Thread(target=wedge, daemon=True).start()

    with patch.object(pool.TaskPool, "on_start", start_and_listen):
        main()
