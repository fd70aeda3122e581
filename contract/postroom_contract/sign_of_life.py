"""How a process shows to whatever watches over it that it works: a file whose age tells, and systemd's own messages.

Owns the file that POSTROOM_ALIVE_FILE names and the three things that systemd is told, where it asks for them. When a process
works is known to whoever calls this: the worker's `health`, and the beat at each tick. Nothing of it is ever an error of theirs.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Self

from postroom_contract.environment import Environment

if TYPE_CHECKING:
    from collections.abc import Mapping

logger = logging.getLogger(__name__)

SETTING = "POSTROOM_ALIVE_FILE"


class SignOfLife:
    """One process's sign: there while it works, fresh at each `show`, gone after `withdraw`."""

    def __init__(self, path: Path | None, notify_socket: str = "") -> None:
        """Show nothing yet, and take away what a process that was killed has left.

        Args:
            path: the file; None shows none.
            notify_socket: where systemd listens (its NOTIFY_SOCKET); empty where it does not.
        """
        self._path = path
        self._notify_socket = f"\0{notify_socket[1:]}" if notify_socket.startswith("@") else notify_socket
        self._is_shown = False
        self._has_failed = False
        self._remove()

    @classmethod
    def from_env(cls, variables: Mapping[str, str] | None = None) -> Self:
        """The sign that the environment asks for.

        Raises:
            SettingsException: the file cannot be written.
        """
        environment = Environment(variables)
        path = read_alive_file(environment)
        environment.refuse_mistakes()
        return cls(path, (os.environ if variables is None else variables).get("NOTIFY_SOCKET", ""))

    def show(self) -> None:
        """Tell that the process works now."""
        if self._path is not None:
            try:
                self._path.touch()
            except OSError as refused:
                if not self._has_failed:
                    logger.warning("%s cannot be written any more: %s", SETTING, refused.strerror)
                self._has_failed = True
        self._notify("WATCHDOG=1" if self._is_shown else "READY=1\nWATCHDOG=1")
        self._is_shown = True

    def show_draining(self) -> None:
        """Tell that it works, and takes nothing new."""
        self._notify("WATCHDOG=1")

    def withdraw(self) -> None:
        """Tell that it takes nothing new, whether or not it is done with what it has; a handler of signals may do so."""
        self._remove()
        self._notify("STOPPING=1")

    def _remove(self) -> None:
        # One that cannot be removed grows old all the same. Nothing is logged here: a handler of signals may be calling.
        with contextlib.suppress(OSError):
            if self._path is not None:
                self._path.unlink(missing_ok=True)

    def _notify(self, what: str) -> None:
        if not self._notify_socket:
            return
        # A watcher that does not listen is no reason to stop; one that misses this draws its own conclusion.
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as telling:
            telling.settimeout(0)
            telling.sendto(what.encode(), self._notify_socket)


def read_alive_file(environment: Environment) -> Path | None:
    """The file in which a process shows that it works, if one is asked for."""
    name = environment.text("POSTROOM_ALIVE_FILE")
    if not name:
        return None
    path = Path(name)
    if not path.parent.is_dir():
        environment.mistakes.append(f"{SETTING}: there is no folder {path.parent}")
    elif path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
        environment.mistakes.append(f"{SETTING}: {path} is no file that this process may write")
    return path
