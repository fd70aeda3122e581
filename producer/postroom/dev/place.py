"""The folder in which development keeps its keys, its queue and its settings: `.postroom` in the project.

Owns what is in it, and who may use it: its owner, and one development at a time, because two brokers on one queue destroy it. It is
made once and found again, so that what was queued yesterday opens today; git ignores it.
"""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from postroom_contract.sealing import generate_key

SESSION = "dev"
_SESSION = """[sessions.{name}]
host = "127.0.0.1"
port = {port}
use_ssl = false
allow_cleartext = true
anonymous = true
"""
# What the README's first steps have left in a shell, and would contradict what is exported here.
_FORGOTTEN = (
    *("POSTROOM_BROKER_URL_FILE", "POSTROOM_KEYS", "POSTROOM_PASSWORD_KEYS"),
    *("POSTROOM_RESULT_URL", "POSTROOM_RESULT_URL_FILE"),
)


class PlaceRefused(Exception):
    """The folder cannot be used; the text says why, and what to do."""


@dataclass(frozen=True)
class Place:
    """The folder."""

    folder: Path
    # An open file. A broker holds it too: one that outlives us, because we were killed, keeps a second one out.
    lock: int

    @classmethod
    @contextmanager
    def opened(cls, folder: Path) -> Iterator[Place]:
        """Make it, or take what is there, and keep others out meanwhile.

        Raises:
            PlaceRefused: it cannot be used.
        """
        try:
            _make(folder)
            with os.fdopen(os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)) as lock:
                _hold(lock.fileno(), folder)
                place = cls(folder.resolve(), lock.fileno())
                place._furnish()
                yield place
        except PermissionError as refused:
            raise PlaceRefused(f"{folder} cannot be used ({refused.strerror}): name another with --folder") from refused

    @property
    def keys(self) -> Path:
        """The ring that seals messages."""
        return self.folder / "keys"

    @property
    def password_keys(self) -> Path:
        """The ring that opens SMTP passwords."""
        return self.folder / "password_keys"

    @property
    def data(self) -> Path:
        """Where the broker keeps what is queued."""
        return self.folder / "data"

    @property
    def logs(self) -> Path:
        """Where the programs run and log."""
        return self.folder / "logs"

    @property
    def env_file(self) -> Path:
        """What a shell can source."""
        return self.folder / "env"

    @property
    def sessions(self) -> Path:
        """The sessions, all of which lead to the inbox."""
        return self.folder / "sessions.toml"

    def write_settings(self, broker_url: str, smtp_port: int, names: Iterable[str] = ()) -> dict[str, str]:
        """Write down what an application needs, and return it.

        Args:
            broker_url: the broker's.
            smtp_port: the inbox's.
            names: sessions that lead to the inbox, besides `dev`.
        """
        tables = [
            _SESSION.format(name=json.dumps(name, ensure_ascii=False), port=smtp_port)
            for name in sorted({SESSION, *names})
        ]
        self._write(self.sessions, "\n".join(["# Written anew at each start: all lead to the inbox.", *tables]))
        settings = {
            "POSTROOM_BROKER_URL": broker_url,
            "POSTROOM_KEYS_FILE": str(self.keys),
            "POSTROOM_SESSIONS_FILE": str(self.sessions),
        }
        self._write(self.env_file, "\n".join([f"unset {' '.join(_FORGOTTEN)}", *exports(settings), ""]))
        return settings

    def _furnish(self) -> None:
        (self.folder / ".gitignore").write_text("*\n", encoding="utf-8")
        for file in (self.keys, self.password_keys):
            if not file.exists():
                self._write(file, generate_key() + "\n")
        for inner in (self.data, self.logs):
            inner.mkdir(exist_ok=True)

    def _write(self, file: Path, text: str) -> None:
        """Write it as a whole or not at all: whoever reads it meanwhile sees the old one."""
        new = file.with_name(f".{file.name}.new")
        new.touch(mode=0o600)
        new.write_text(text, encoding="utf-8")
        new.replace(file)


def exports(settings: Mapping[str, str]) -> list[str]:
    """Settings as lines for a shell."""
    return [f"export {name}={shlex.quote(value)}" for name, value in settings.items()]


def _make(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except FileExistsError:
        raise PlaceRefused(f"{folder} is there and is no folder: remove it, or name another with --folder") from None
    except FileNotFoundError:
        raise PlaceRefused(f"there is no folder {folder.parent} to make {folder.name} in") from None
    found = folder.stat()
    if found.st_uid != os.getuid():
        raise PlaceRefused(f"{folder} belongs to another user: name another with --folder")
    if found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise PlaceRefused(f"{folder} holds keys and is open to other users: chmod 700 {shlex.quote(str(folder))}")


def _hold(lock: int, folder: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        who = os.pread(lock, 20, 0).decode(errors="replace")
        left = f"if it was killed, `fuser {shlex.quote(str(folder / 'lock'))}` tells what it has left running"
        raise PlaceRefused(f"postroom dev runs in {folder} already (process {who}); {left}") from None
    os.ftruncate(lock, 0)
    os.pwrite(lock, str(os.getpid()).encode(), 0)
