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
from postroom_contract.environment import Environment, unreadable_file
from postroom_contract.errors import PostroomError
from postroom_contract.session import BasicEmailSessionDetails

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from postroom_contract.sealing import Keyring

# The keys of a [sessions.<name>] table: the server's, and the credentials'.
_SERVER_KEYS = ("host", "port", "use_ssl", "allow_cleartext")
_CREDENTIALS_KEYS = ("username", "password", "domain", "anonymous")
_SWITCHES = ("use_ssl", "allow_cleartext", "anonymous")
_PLACE = re.compile(r"\b(?:ServerDetails|Credentials)\.([A-Za-z]+)")
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
        environment.mistakes.append(unreadable_file("POSTROOM_SESSIONS_FILE", path, unreadable))
        return {}
    tables = document.get("sessions")
    if document.keys() != {"sessions"} or not isinstance(tables, dict):
        hint = next(_misplaced(document), "")
        environment.mistakes.append(f"POSTROOM_SESSIONS_FILE holds something else than tables [sessions.<name>]{hint}")
        return {}
    sessions = {}
    for name, table in tables.items():
        told = list(_mistaken_keys(table))
        try:
            sessions[name] = BasicEmailSessionDetails.accept(_as_details(table))
        except PostroomError as wrong:
            told += [_PLACE.sub(_as_key, str(mistake["message"])) for mistake in wrong.mistakes]
        environment.mistakes.extend(f"session {name!r} in POSTROOM_SESSIONS_FILE: {mistake}" for mistake in told)
    return sessions


def _as_details(table: object) -> object:
    if not isinstance(table, dict):
        return table
    server = {key: value for key, value in table.items() if key in _SERVER_KEYS}
    return {"server_details": server, "credentials": {k: v for k, v in table.items() if k in _CREDENTIALS_KEYS}}


def _misplaced(document: Mapping[str, object]) -> Iterator[str]:
    """What is told of tables that look like a session in another place: `[shop]` and `[session.shop]`."""
    for key, table in document.items():
        if key == "sessions" or not isinstance(table, dict) or not _SLIP.fullmatch(key):
            continue
        inner = next((name for name, value in table.items() if isinstance(value, dict) and _SLIP.fullmatch(name)), None)
        there = key if inner is None else f"{key}.{inner}"
        yield f": write [sessions.{inner or key}] for [{there}]"


def _mistaken_keys(table: object) -> Iterator[str]:
    """What is told of keys that a session does not have, the block's names among them, and of words for yes and no."""
    known = (*_SERVER_KEYS, *_CREDENTIALS_KEYS)
    for key, value in table.items() if isinstance(table, dict) else ():
        if key not in known:
            shown = repr(key) if _SLIP.fullmatch(key) else "a key"
            yield f"{shown} is none of {', '.join(known)}"
        elif key in _SWITCHES and not isinstance(value, bool):
            # Models take "no" for false, as the block's JSON may have it; here it is a slip about TLS.
            yield f"{key} is true or false, without quotes"


def _as_key(place: re.Match[str]) -> str:
    """The key of this file for a place in the block's JSON: `use_ssl` for `ServerDetails.UseSsl`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", place[1]).lower()
