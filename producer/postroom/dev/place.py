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
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from postroom_contract.sealing import generate_key
from postroom_contract.webhook_signature import generate_secret

SESSION = "dev"
# With which the README and the examples send, so that what is copied from them works.
EXAMPLE_SESSION = "shop"
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
    # An open file. All that is started holds it too: what outlives us, because we were killed, keeps a second one out.
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
    def webhook_secrets(self) -> Path:
        """What webhooks are signed with."""
        return self.folder / "webhook_secrets"

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
            names: sessions that lead to the inbox, besides `dev` and the documentation's.
        """
        tables = [
            _SESSION.format(name=json.dumps(name, ensure_ascii=False), port=smtp_port)
            for name in sorted({SESSION, EXAMPLE_SESSION, *names})
        ]
        self._write(self.sessions, "\n".join(["# Written anew at each start: all lead to the inbox.", *tables]))
        settings = {
            "POSTROOM_BROKER_URL": broker_url,
            "POSTROOM_KEYS_FILE": str(self.keys),
            "POSTROOM_SESSIONS_FILE": str(self.sessions),
        }
        self._write(self.env_file, "\n".join([*exports(settings), ""]))
        return settings

    def _furnish(self) -> None:
        (self.folder / ".gitignore").write_text("*\n", encoding="utf-8")
        for file, make in {
            self.keys: generate_key,
            self.password_keys: generate_key,
            self.webhook_secrets: generate_secret,
        }.items():
            if not file.exists():
                self._write(file, make() + "\n")
        for inner in (self.data, self.logs):
            inner.mkdir(exist_ok=True)

    def _write(self, file: Path, text: str) -> None:
        """Write it as a whole or not at all: whoever reads it meanwhile sees the old one."""
        new = file.with_name(f".{file.name}.new")
        new.touch(mode=0o600)
        new.write_text(text, encoding="utf-8")
        new.replace(file)


def exports(settings: Mapping[str, str]) -> list[str]:
    """Settings as lines for a shell, in which other systems' may be set."""
    forget = f"unset {' '.join(_FORGOTTEN)}"
    return [forget, *(f"export {name}={shlex.quote(value)}" for name, value in settings.items())]


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
        raise PlaceRefused(_told_of_holders(folder, os.pread(lock, 20, 0).decode(errors="replace"))) from None
    os.ftruncate(lock, 0)
    os.pwrite(lock, str(os.getpid()).encode(), 0)


def _told_of_holders(folder: Path, who: str) -> str:
    """Whether another development uses the folder, or what one has left running, and what to do."""
    holders = dict(_holders(folder / "lock"))
    env = shlex.quote(str(folder / "env"))
    if who in holders or not holders:
        use = f"use it (source {env}), end it (kill {who}), or run another with --folder"
        return f"postroom dev runs in {folder} already (process {who}): {use}"
    left = ", ".join(f"{name} ({pid})" for pid, name in holders.items())
    return f"a postroom dev that was killed has left running: {left}. End them first: kill {' '.join(holders)}"


def _holders(lock: Path) -> Iterator[tuple[str, str]]:
    """The other processes that have it open, with what they are; nothing where the system does not show that."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # somebody else's, or it has ended
            if process.name != str(os.getpid()) and any(_is_same(file, lock) for file in (process / "fd").iterdir()):
                words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
                yield process.name, words[words.index("-m") + 1] if "-m" in words else Path(words[0]).name


def _is_same(file: Path, lock: Path) -> bool:
    try:
        return file.samefile(lock)
    except OSError:  # a pipe, a socket, or closed meanwhile
        return False
