"""A file whose age says that a program works: what a container's health check looks at, for a fraction of a millisecond.

Owns the setting and the touching. When a program works is for it to say: it touches the file while it does, and no longer.
"""

from __future__ import annotations

import logging
from pathlib import Path

from postroom_contract.environment import Environment

logger = logging.getLogger(__name__)

SETTING = "POSTROOM_ALIVE_FILE"
# Touched every few seconds at the most seldom; older than this, nobody is there. `find -mmin -0.25` says the same.
STALE_S = 15.0


class AliveFile:
    """The file, or none."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._is_told = False

    @classmethod
    def from_env(cls) -> AliveFile:
        """The file that POSTROOM_ALIVE_FILE names."""
        path = Environment().text(SETTING)
        return cls(Path(path) if path else None)

    def touch(self) -> None:
        """Say that the program works. A file that cannot be touched is told once: the health check then tells the rest."""
        if self._path is None:
            return
        try:
            self._path.touch()
        except OSError as wrong:
            if not self._is_told:
                logger.error("%s cannot be touched: %s", SETTING, wrong.strerror)
            self._is_told = True
