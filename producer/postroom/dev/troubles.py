"""What goes wrong in the worker, for the terminal: mail that was not sent, or not to all, and ends that nobody was told of.

Owns the choice of lines from the worker's log, which has ids and codes and nothing of a mail. What arrives, `inbox` tells.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

# As the worker's log has them in its text form (`postroom_worker.events`); in JSON it is for machines, and nothing is shown.
_TROUBLE = re.compile(
    rb"\] ((?:delivery \S+ is (?:partial|failed|unknown|expired|retrying|held)|news of delivery \S+ is (?:put_off|dead)): .*)"
)


class Troubles:
    """Reads a log as it grows."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._read = 0

    def new(self) -> Iterator[str]:
        """What has come since the last time, whole lines only."""
        with self._log.open("rb") as log:
            log.seek(self._read)
            lines = log.read().splitlines(keepends=True)
        for line in lines:
            if not line.endswith(b"\n"):
                return
            self._read += len(line)
            if found := _TROUBLE.search(line):
                yield found[1].decode(errors="replace")
