"""The folder in which development keeps its keys, its queue and its settings: `.postroom` in the project.

Owns what is in it. It is made once and found again, so that what was queued yesterday opens today; it is for its owner alone,
and git ignores it.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from postroom_contract.sealing import generate_key

SESSION = "dev"
_SESSIONS = """# The session of the development inbox; written anew at each start.
[sessions.{name}]
host = "127.0.0.1"
port = {port}
use_ssl = false
allow_cleartext = true
anonymous = true
"""


@dataclass(frozen=True)
class Place:
    """The folder."""

    folder: Path

    @classmethod
    def make(cls, folder: Path) -> Place:
        """Make it, or take what is there.

        Raises:
            OSError: it cannot be written to.
        """
        folder.mkdir(mode=0o700, exist_ok=True)
        place = cls(folder.resolve())
        (place.folder / ".gitignore").write_text("*\n", encoding="utf-8")
        for file in (place.keys, place.password_keys):
            if not file.exists():
                file.touch(mode=0o600)
                file.write_text(generate_key() + "\n", encoding="utf-8")
        for inner in (place.data, place.logs):
            inner.mkdir(exist_ok=True)
        return place

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

    def write_settings(self, broker_url: str, smtp_port: int) -> dict[str, str]:
        """Write down what an application needs, and return it."""
        sessions = self.folder / "sessions.toml"
        sessions.write_text(_SESSIONS.format(name=SESSION, port=smtp_port), encoding="utf-8")
        settings = {
            "POSTROOM_BROKER_URL": broker_url,
            "POSTROOM_KEYS_FILE": str(self.keys),
            "POSTROOM_SESSIONS_FILE": str(sessions),
        }
        self.env_file.write_text("".join(f"{line}\n" for line in exports(settings)), encoding="utf-8")
        return settings


def exports(settings: Mapping[str, str]) -> list[str]:
    """Settings as lines for a shell."""
    return [f"export {name}={shlex.quote(value)}" for name, value in settings.items()]
