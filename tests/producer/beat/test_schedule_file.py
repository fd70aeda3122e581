"""The file of recurring mail: what an entry may say, and that everything wrong is told at once."""

from __future__ import annotations

import json
import sys
import zoneinfo
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from postroom import BasicEmailSessionDetails
from postroom.beat.crontab import Crontab
from postroom.beat.entry import Entry
from postroom.beat.schedule_file import entries_from_env, read_schedule
from postroom.beat.slots import Interval
from postroom_contract.environment import Environment
from postroom_contract.errors import SettingsException

SESSIONS = {
    "shop": BasicEmailSessionDetails.accept(
        {"server_details": {"host": "h", "port": 25}, "credentials": {"anonymous": True}}
    )
}
MESSAGE = 'message = {To = "ann@example.com", From = "shop@example.com", Subject = "secret subject", Body = "x"}'
GOOD = f"""
[[schedule]]
name = "weekly"
crontab = "30 7 * * mon"
session = "shop"
{MESSAGE}
"""
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


def read(text: str, folder: Path) -> tuple[list[Entry], list[str]]:
    """The entries of a file, and the mistakes in it."""
    file = folder / "schedule.toml"
    file.write_text(text, encoding="utf-8")
    environment = Environment({"POSTROOM_SCHEDULE_FILE": str(file)})
    return read_schedule(environment, SESSIONS), environment.mistakes


def mistakes(changes: str, folder: Path, *, without: str = "") -> list[str]:
    """What is told of a good entry with lines added, and those left out that begin with a word."""
    lines = [line for line in GOOD.splitlines() if not (without and line.startswith(without))]
    return [
        told.removeprefix("entry 'weekly' in POSTROOM_SCHEDULE_FILE: ")
        for told in read("\n".join([*lines, changes]), folder)[1]
    ]


def test_an_entry_says_what_it_must_and_the_rest_has_defaults(tmp_path: Path) -> None:
    """Universal time, an hour's grace, no end."""
    [entry], told = read(GOOD, tmp_path)

    assert told == []
    assert (entry.name, entry.session, str(entry.zone)) == ("weekly", "shop", "UTC")
    assert isinstance(entry.rhythm, Crontab)
    assert (entry.catch_up, entry.expires_after, entry.is_template) == (timedelta(hours=1), None, False)
    assert entry.message_for(entry.rhythm.next(NOW) or pytest.fail("no slot")).subject == "secret subject"


def test_an_entry_may_say_more(tmp_path: Path) -> None:
    """All of it reaches the entry."""
    more = """
[[schedule]]
name = "often"
every = "15m"
timezone = "Europe/Berlin"
session = "shop"
catch_up = 0
expires_after = "2h"
close_session = true
on_unknown = "hold"
values = {shop = "Ann's", year = 1}
template = {To = "ann@example.com", From = "shop@example.com", Subject = "$shop $year", Body = "$date"}
"""
    [_, entry], told = read(GOOD + more, tmp_path)

    assert told == []
    assert entry.rhythm == Interval(900)
    assert (str(entry.zone), entry.catch_up, entry.expires_after) == ("Europe/Berlin", timedelta(0), timedelta(hours=2))
    assert entry.options == {"close_session": True, "on_unknown": "hold"}
    assert entry.message_for(Interval(900).next(NOW)).subject == "Ann's 1"


def test_an_entry_that_is_switched_off_is_read_all_the_same(tmp_path: Path) -> None:
    """Its mistakes are told all the same, so that switching it on brings no surprise."""
    [entry], told = read(GOOD + "enabled = false", tmp_path)

    assert (entry.is_enabled, told) == (False, [])
    assert mistakes('enabled = false\ncatch_up = "x"', tmp_path)


@pytest.mark.parametrize("wrap", [True, False], ids=["a file for `postroom send`", "the message alone"])
def test_a_message_may_stand_in_a_file_of_its_own(tmp_path: Path, *, wrap: bool) -> None:
    """Beside the schedule file, in the block's JSON, attachments' content as base64."""
    message = {"To": [{"Address": "ann@example.com"}], "From": "a@example.com", "Subject": "s", "Body": "b"}
    message["Attachments"] = [{"Name": "a.txt", "Content": "aGVsbG8="}]
    (tmp_path / "m.json").write_text(json.dumps({"EmailMessage": message} if wrap else message), encoding="utf-8")
    [entry], told = read(GOOD.replace(MESSAGE, 'message = "m.json"'), tmp_path)

    assert told == []
    assert entry.message_for(Interval(1).next(NOW)).attachments[0].content == b"hello"


@pytest.mark.parametrize(
    ("without", "changes", "complaint"),
    [
        ("name", "", "name is needed"),
        ("name", 'name = "ann@example.com"', "name is needed"),
        ("crontab", "", "give either crontab"),
        ("", 'every = "1m"', "give either crontab"),
        ("crontab", 'every = "soon"', "every is no length of time"),
        ("crontab", "every = 0", "every is less than 0:00:01"),
        ("crontab", 'every = "1m"\ndays = "both"', "days belongs to crontab"),
        ("crontab", "crontab = 5", "crontab is a text"),
        ("crontab", 'crontab = "* * *"', "crontab: it has five fields"),
        ("crontab", 'crontab = "0 0 1 * mon"', "crontab: it names days of the month and of the week"),
        ("", 'timezone = "Europe/Berlín"', "timezone is no zone"),
        ("", "timezone = 5", "timezone is no zone"),
        ("", 'timezone = "../../etc/passwd"', "timezone is no zone"),
        ("session", "", "session is needed"),
        ("session", 'session = "warehouse"', "There is no session 'warehouse' (known: shop)"),
        ("message", "", "give either message or template"),
        ("message", "message = 5", "message is a table"),
        ("message", 'message = "nowhere.json"', "cannot be read (FileNotFoundError)"),
        ("message", 'message = {Subject = "secret"}', "To is required"),
        (
            "message",
            'template = {To = "a@example.com", From = "a@example.com", Body = "$x"}',
            "$x is none of $name, $date",
        ),
        (
            "message",
            'message = {To = "a@example.com", From = "a@example.com", MessageId = "<secret@example.com>"}',
            "MessageId would be the same each time",
        ),
        ("", "values = 5", "values is a table"),
        ("", 'catch_up = "13h"', "catch_up is more than 12:00:00"),
        ("", 'expires_after = "x"', "expires_after is no length of time"),
        ("", "close_session = 5", "CloseSession"),
        ("", 'on_unknown = "x"', "OnUnknown"),
        ("", 'enabled = "no"', "enabled is true or false"),
        ("", 'sesion = "x"', "'sesion' is none of name, crontab"),
        ("", '"ann@example.com" = 1', "a key is not known"),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, without: str, changes: str, complaint: str) -> None:
    """In a sentence with the entry's name, and without anything that stands in the message."""
    told = mistakes(changes, tmp_path, without=without)

    assert any(complaint in mistake for mistake in told), told
    assert "secret" not in str(told)
    assert "ann@" not in str(told)


def test_a_machine_without_zones_knows_utc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in the smallest containers: who needs no other zone is not told of it, and who does, what to install."""
    text = GOOD + GOOD.replace("weekly", "local") + 'timezone = "Europe/Berlin"'
    monkeypatch.setitem(sys.modules, "tzdata", None)  # the package that stands in for it
    before = zoneinfo.TZPATH
    zoneinfo.reset_tzpath(to=[])
    zoneinfo.ZoneInfo.clear_cache()
    try:
        _, told = read(text, tmp_path)
    finally:
        zoneinfo.reset_tzpath(to=before)

    assert told == [
        "entry 'local' in POSTROOM_SCHEDULE_FILE: timezone: this machine knows no zones but UTC; pip install tzdata"
    ]


def test_all_mistakes_of_one_entry_are_told_at_once(tmp_path: Path) -> None:
    """Also those of its mail, whatever else is wrong."""
    text = GOOD.replace('session = "shop"', 'session = "shpo"').replace("30 7 * * mon", "77 30 * * mon")
    text = (
        text.replace("message = ", "template = ").replace('Body = "', 'Body = "$weak ') + 'timezone = "Europe/Berln"\n'
    )
    told = " ".join(read(text, tmp_path)[1])

    for mistake in ("'shpo'", "minute '77'", "hour '30'", "$weak", "'Europe/Berln'"):
        assert mistake in told


def test_all_mistakes_of_all_entries_are_told_at_once(tmp_path: Path) -> None:
    """And two entries of one name, of which only one would be sent."""
    _, told = read(GOOD + "catch_up = -1" + GOOD + 'enabled = 3\ntimezone = "x"', tmp_path)

    assert len(told) == 4
    assert told[-1] == "POSTROOM_SCHEDULE_FILE has several entries named 'weekly'"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[[schedule]]\nname = x", "is not valid TOML (line 2, column 8)"),
        ("schedule = 5", "holds something else than tables [[schedule]]"),
        ("[schedule]\nname = 1", "holds something else than tables [[schedule]]"),
        (GOOD + "[sessions.shop]", "holds something else than tables [[schedule]]"),
    ],
)
def test_what_is_no_schedule_file(tmp_path: Path, text: str, complaint: str) -> None:
    """A sessions file in its place, or a slip of the pen, is told as that."""
    assert [complaint in told for told in read(text, tmp_path)[1]] == [True]


def test_without_a_file_or_entries_nothing_starts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A beat that sends nothing would look healthy."""
    monkeypatch.delenv("POSTROOM_SCHEDULE_FILE", raising=False)
    with pytest.raises(SettingsException, match="is not set"):
        entries_from_env()
    monkeypatch.setenv("POSTROOM_SCHEDULE_FILE", str(tmp_path / "none.toml"))
    with pytest.raises(SettingsException, match="cannot be read"):
        entries_from_env()
    (tmp_path / "sessions.toml").write_text(
        '[sessions.shop]\nhost = "h"\nport = 25\nanonymous = true\n', encoding="utf-8"
    )
    (tmp_path / "off.toml").write_text(GOOD + "enabled = false", encoding="utf-8")
    monkeypatch.setenv("POSTROOM_SESSIONS_FILE", str(tmp_path / "sessions.toml"))
    monkeypatch.setenv("POSTROOM_SCHEDULE_FILE", str(tmp_path / "off.toml"))
    with pytest.raises(SettingsException, match="names no entry"):
        entries_from_env()
