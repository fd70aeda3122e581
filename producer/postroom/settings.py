"""The producer's settings: where Redis is, which keys seal, which sessions have names.

Owns the list of `POSTROOM_*` variables an application needs and the reading of the sessions file. A wrong setting stops
the start, and every mistake is told at once.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

from postroom_broker.connection import read_urls
from postroom_contract.destination import check_setting
from postroom_contract.environment import Environment
from postroom_contract.errors import PostroomError
from postroom_contract.session import BasicEmailSessionDetails

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from postroom_contract.sealing import Keyring

# The keys of a [sessions.<name>] table: the server's, and the credentials'.
_SERVER_KEYS = ("host", "port", "use_ssl", "allow_cleartext")
_CREDENTIALS_KEYS = ("username", "password", "domain", "anonymous")
# A key that is none of them may be anything: only what looks like a slip is shown.
_SLIP = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,39}")


@dataclass(frozen=True, slots=True)
class ProducerSettings:
    """Everything a `Mailer` needs."""

    # The URLs may hold a password.
    broker_url: str = field(repr=False)
    result_url: str = field(repr=False)
    keyring: Keyring
    sessions: Mapping[str, BasicEmailSessionDetails] = field(default_factory=dict)
    # Who is told of the end of a mail that says nothing itself; a webhook's URL may hold a token.
    on_outcome: str | None = field(default=None, repr=False)

    @classmethod
    def from_env(cls, variables: Mapping[str, str] | None = None) -> Self:
        """Read the environment.

        Raises:
            SettingsException: something is missing or wrong; all of it is listed.
        """
        environment = Environment(variables)
        settings = cls.read(environment)
        environment.refuse_mistakes()
        assert settings is not None  # a missing ring is a mistake, and was refused
        return settings

    @classmethod
    def read(cls, environment: Environment) -> Self | None:
        """The same for who has more to read, and refuses all mistakes together; None without a key ring, which is one."""
        keyring = environment.keyring("POSTROOM_KEYS")
        sessions = read_sessions(environment)
        broker_url, result_url = read_urls(environment)
        on_outcome = read_on_outcome(environment)
        return None if keyring is None else cls(broker_url, result_url, keyring, sessions, on_outcome)


def read_on_outcome(environment: Environment) -> str | None:
    """Who is told of ends (POSTROOM_ON_OUTCOME), in its written form; None for nobody, which "none" says too."""
    text = environment.text("POSTROOM_ON_OUTCOME")
    return environment.checked(lambda: check_setting(text), "POSTROOM_ON_OUTCOME") if text else None


def read_sessions(environment: Environment) -> dict[str, BasicEmailSessionDetails]:
    """The sessions that POSTROOM_SESSIONS_FILE names: TOML tables `[sessions.<name>]`."""
    path = environment.text("POSTROOM_SESSIONS_FILE")
    if not path:
        return {}
    try:
        document = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as wrong:
        # The place alone: the rest of what the parser says may quote a piece of a password.
        place = re.search(r"at (line \d+, column \d+|end of document)", str(wrong))
        environment.mistakes.append(f"POSTROOM_SESSIONS_FILE is not valid TOML{f' ({place[1]})' if place else ''}")
        return {}
    except (OSError, UnicodeDecodeError) as unreadable:
        environment.mistakes.append(f"POSTROOM_SESSIONS_FILE cannot be read ({type(unreadable).__name__})")
        return {}
    tables = document.get("sessions")
    if document.keys() != {"sessions"} or not isinstance(tables, dict):
        environment.mistakes.append("POSTROOM_SESSIONS_FILE holds something else than tables [sessions.<name>]")
        return {}
    sessions = {}
    for name, table in tables.items():
        environment.mistakes.extend(_unknown_keys(name, table))
        try:
            sessions[name] = BasicEmailSessionDetails.accept(_as_details(table))
        except PostroomError as wrong:
            told = [f"session {name!r} in POSTROOM_SESSIONS_FILE: {mistake['message']}" for mistake in wrong.mistakes]
            environment.mistakes.extend(told)
    return sessions


def _as_details(table: object) -> object:
    if not isinstance(table, dict):
        return table
    server = {key: value for key, value in table.items() if key in _SERVER_KEYS}
    return {"server_details": server, "credentials": {k: v for k, v in table.items() if k in _CREDENTIALS_KEYS}}


def _unknown_keys(name: str, table: object) -> Iterator[str]:
    """What is told of keys that a session does not have, the names that the block's JSON has among them."""
    known = (*_SERVER_KEYS, *_CREDENTIALS_KEYS)
    for key in table if isinstance(table, dict) else ():
        if key not in known:
            shown = repr(key) if _SLIP.fullmatch(key) else "a key"
            yield f"session {name!r} in POSTROOM_SESSIONS_FILE: {shown} is none of {', '.join(known)}"
