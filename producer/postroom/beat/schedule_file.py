"""The file of recurring mail: TOML, a table `[[schedule]]` for each entry.

Owns how an entry is written, and the telling of what is wrong with it: all of it at once, each with the entry's name, and
never with what stands in a message. What entries then do is `entry`'s.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from postroom.beat.crontab import Crontab
from postroom.beat.crontab_line import NoCrontab
from postroom.beat.duration import read_duration
from postroom.beat.entry import Entry
from postroom.beat.slots import Interval, Rhythm
from postroom.beat.template import mistakes_in
from postroom.mailer import make_delivery, unknown_session
from postroom.options import SendOptions
from postroom.settings import read_sessions
from postroom_contract.environment import Environment, unreadable_file
from postroom_contract.error_codes import ErrorCode
from postroom_contract.errors import PostroomError, SettingsException

if TYPE_CHECKING:
    from postroom_contract.session import BasicEmailSessionDetails

SETTING = "POSTROOM_SCHEDULE_FILE"

# How late a missed slot is sent, where the entry says nothing: a restart or an update takes minutes.
USUAL_CATCH_UP = timedelta(hours=1)
# The ledger knows for a day what was sent, so that no slot is sent twice; half of it leaves room for a mail that took long.
MOST_CATCH_UP = timedelta(hours=12)
# A slot is worked out to the second, and more often than that nobody wants mail.
LEAST_INTERVAL = timedelta(seconds=1)

# It stands in logs and in Redis, and ids are made of it.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
# What an entry may have of the keywords of `Mailer.send`; the others are the slot's.
_OPTIONS = ("close_session", "on_unknown", "on_outcome")
_KEYS = ("name", "crontab", "days", "every", "timezone", "session", "message", "template", "values", "catch_up")
KNOWN = (*_KEYS, "expires_after", *_OPTIONS, "enabled")
# Any point in time does to try an entry with; expiry is judged against the server's clock and not here.
_TRIAL = datetime(2026, 1, 1, tzinfo=UTC)
# And any rhythm, where the entry's own cannot be read.
_SOME_RHYTHM = Interval(86400)
# What may be shown of a zone's name.
_ZONE = re.compile(r"[A-Za-z0-9/_+-]{1,40}")


def entries_from_env(environment: Environment | None = None) -> list[Entry]:
    """The entries that the environment names, and at least one.

    Args:
        environment: what the sessions and other settings were read with, so that all mistakes are told together.

    Raises:
        SettingsException: something is missing or wrong; all of it is listed.
    """
    own = Environment()
    sessions = read_sessions(own)
    environment = environment or own
    entries = read_schedule(environment, sessions)
    environment.refuse_mistakes()
    if not any(entry.is_enabled for entry in entries):
        lacking = "names no entry to send" if environment.text(SETTING) else "is not set"
        detail = f"{SETTING} {lacking} (docs/beat.md shows a file)"
        raise SettingsException(ErrorCode.BAD_SETTINGS, {"detail": detail})
    return entries


def read_schedule(environment: Environment, sessions: Mapping[str, BasicEmailSessionDetails]) -> list[Entry]:
    """The entries of the file that POSTROOM_SCHEDULE_FILE names, with those that are switched off."""
    path = environment.text(SETTING)
    if not path:
        return []
    try:
        document = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as wrong:
        # The place alone: the rest of what the parser says may quote a piece of a message.
        place = re.search(r"at (line \d+, column \d+|end of document)", str(wrong))
        environment.mistakes.append(f"{SETTING} is not valid TOML{f' ({place[1]})' if place else ''}")
        return []
    except (OSError, UnicodeDecodeError) as unreadable:
        environment.mistakes.append(unreadable_file(SETTING, path, unreadable))
        return []
    tables = _tables(document)
    if tables is None:
        environment.mistakes.append(f"{SETTING} holds something else than tables [[schedule]]")
        return []
    readings = [Reading(table, Path(path).parent, sessions) for table in tables]
    entries = [reading.entry() for reading in readings]
    for number, reading in enumerate(readings, 1):
        about = f"entry {reading.name!r}" if reading.name else f"entry {number}"
        environment.mistakes.extend(f"{about} in {SETTING}: {mistake}" for mistake in reading.mistakes)
    names = [reading.name for reading in readings if reading.name]
    for name in sorted({name for name in names if names.count(name) > 1}):
        environment.mistakes.append(f"{SETTING} has several entries named {name!r}")
    return [entry for entry in entries if entry is not None]


def _tables(document: Mapping[str, Any]) -> list[Mapping[str, Any]] | None:
    tables = document.get("schedule")
    are_tables = isinstance(tables, list) and all(isinstance(table, dict) for table in tables)
    return tables if are_tables and document.keys() == {"schedule"} else None


@dataclass(slots=True)
class Reading:
    """One table on its way to an entry."""

    table: Mapping[str, Any]
    folder: Path
    sessions: Mapping[str, BasicEmailSessionDetails]
    mistakes: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The entry's name; empty where it has none that may be shown."""
        name = self.table.get("name")
        return name if isinstance(name, str) and _NAME.fullmatch(name) else ""

    def entry(self) -> Entry | None:
        """The entry; None where there are mistakes."""
        zone = self._zone()
        rhythm = self._rhythm(zone)
        message, is_template = self._message()
        session = self._text("session", "the name of a session in POSTROOM_SESSIONS_FILE")
        catch_up = self._duration("catch_up", USUAL_CATCH_UP, most=MOST_CATCH_UP)
        expires_after = self._duration("expires_after", None, least=LEAST_INTERVAL)
        values = self._values()
        self.mistakes += self._general()
        is_whole = not self.mistakes
        entry = Entry(
            name=self.name or "unnamed",
            rhythm=rhythm or _SOME_RHYTHM,
            zone=zone,
            session=session,
            message=message,
            is_template=is_template,
            values=values,
            catch_up=catch_up or timedelta(0),
            expires_after=expires_after,
            options=_options(self.table),
            is_enabled=self.table.get("enabled", True),
        )
        if message and session:
            # Also where something else is wrong: all of it is told at once.
            self.mistakes += self._trial(entry)
        return entry if is_whole and not self.mistakes else None

    def _general(self) -> Iterator[str]:
        if not self.name:
            yield "name is needed: letters, digits, dots, hyphens and underscores, at most 64"
        for key in self.table:
            if key not in KNOWN:
                yield f"{key!r} is none of {', '.join(KNOWN)}" if _NAME.fullmatch(key) else "a key is not known"
        if not isinstance(self.table.get("enabled", True), bool):
            yield "enabled is true or false"

    def _zone(self) -> tzinfo:
        name = self.table.get("timezone", "UTC")
        if name == "UTC":
            return UTC  # known where no other zone is, as in the smallest containers
        try:
            return ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, TypeError, OSError):
            if available_timezones():
                shown = f"{name!r} " if isinstance(name, str) and _ZONE.fullmatch(name) else ""
                self.mistakes.append(f'timezone {shown}is no zone that this machine knows (write "Europe/Berlin")')
            else:
                self.mistakes.append("timezone: this machine knows no zones but UTC; pip install tzdata")
            return UTC

    def _rhythm(self, zone: tzinfo) -> Rhythm | None:
        line, every, days = (self.table.get(key) for key in ("crontab", "every", "days"))
        if (line is None) == (every is None):
            self.mistakes.append('give either crontab = "30 7 * * mon" or every = "15m"')
            return None
        if every is not None:
            interval = self._duration("every", None, least=LEAST_INTERVAL)
            if days is not None:
                self.mistakes.append("days belongs to crontab")
            return Interval(interval // timedelta(seconds=1)) if interval else None
        if days not in (None, "both", "either") or not isinstance(line, str):
            self.mistakes.append('crontab is a text, and days "both" or "either"')
            return None
        try:
            return Crontab.read(line, zone, days)
        except NoCrontab as wrong:
            self.mistakes.append(f"crontab: {wrong}")
            return None

    def _message(self) -> tuple[Mapping[str, Any], bool]:
        """The message's JSON, and whether it is to be filled."""
        given = [key for key in ("message", "template") if key in self.table]
        if len(given) != 1:
            self.mistakes.append("give either message or template: a table, or the path of a JSON file")
            return {}, False
        told = self.table[given[0]]
        if isinstance(told, str):
            told = self._file(told)
        if not isinstance(told, dict):
            self.mistakes.append(f"{given[0]} is a table, or the path of a JSON file that holds an object")
            return {}, False
        # A file may be one for `postroom send`, and holds the message under its name then.
        inner = told.get("EmailMessage", told.get("email_message"))
        return (inner if isinstance(inner, dict) else told), given[0] == "template"

    def _file(self, name: str) -> object:
        """What a JSON file holds, by its path from the schedule file's folder."""
        try:
            return json.loads((self.folder / name).read_text(encoding="utf-8"))
        except (OSError, ValueError) as unreadable:
            self.mistakes.append(f"the message's file cannot be read ({type(unreadable).__name__})")
            return {}

    def _values(self) -> Mapping[str, str]:
        values = self.table.get("values", {})
        if isinstance(values, dict) and all(isinstance(value, (str, int, float)) for value in values.values()):
            return {name: str(value) for name, value in values.items()}
        self.mistakes.append("values is a table of texts and numbers")
        return {}

    def _text(self, key: str, meaning: str) -> str:
        value = self.table.get(key)
        if isinstance(value, str) and value:
            return value
        self.mistakes.append(f"{key} is needed: {meaning}")
        return ""

    def _duration(
        self, key: str, default: timedelta | None, *, least: timedelta = timedelta(0), most: timedelta | None = None
    ) -> timedelta | None:
        if key not in self.table:
            return default
        value = read_duration(self.table[key])
        if value is None:
            self.mistakes.append(f'{key} is no length of time: write seconds, or "90s", "15m", "2h", "1d"')
        elif value < least:
            self.mistakes.append(f"{key} is less than {least}")
        elif most is not None and value > most:
            self.mistakes.append(f"{key} is more than {most}")
        return default if value is None else value

    def _trial(self, entry: Entry) -> Iterator[str]:
        """What would be wrong with its mail."""
        slot = entry.rhythm.next(_TRIAL)
        if slot is None:
            yield "crontab: no day is like that"
            return
        is_known = entry.session in self.sessions
        if not is_known:
            yield str(unknown_session(entry.session, self.sessions))
        if entry.is_template and (wrong := list(mistakes_in(entry.message, entry.words(slot)))):
            yield from (f"template: {mistake}" for mistake in wrong)
            return
        try:
            message = entry.message_for(slot)
            if is_known:
                make_delivery(message, entry.session, self.sessions, entry.options_for(slot))
        except PostroomError as refused:
            mistakes = refused.mistakes or [{"message": str(refused)}]
            yield from (str(mistake["message"]) for mistake in mistakes)
            return
        if message.message_id is not None:
            # Many servers drop what comes with an id that they have seen.
            yield "MessageId would be the same each time: leave it out, and each mail gets its own"


def _options(table: Mapping[str, Any]) -> SendOptions:
    options: SendOptions = {}
    if "close_session" in table:
        options["close_session"] = table["close_session"]
    if "on_unknown" in table:
        options["on_unknown"] = table["on_unknown"]
    if "on_outcome" in table:
        options["on_outcome"] = table["on_outcome"]
    return options
