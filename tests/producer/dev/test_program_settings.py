"""What the programs of a development are told: their own Redis and keys, and the rest as it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from postroom.dev.place import Place
from postroom.dev.program_settings import for_programs, session_names
from postroom_contract.errors import SettingsException

OWN = {
    "POSTROOM_BROKER_URL": "redis://127.0.0.1:1/0",
    "POSTROOM_KEYS_FILE": "/dev/keys",
    "POSTROOM_SESSIONS_FILE": "/dev/s",
}


def test_redis_keys_and_sessions_are_developments_own(tmp_path: Path) -> None:
    """Whatever the environment says of them, by value or by file."""
    theirs = {
        "POSTROOM_BROKER_URL": "redis://production/0",
        "POSTROOM_RESULT_URL_FILE": "/run/secrets/url",
        "POSTROOM_KEYS": "k1:production",
        "POSTROOM_SESSIONS_FILE": "/etc/postroom/sessions.toml",
        "POSTROOM_METRICS_PORT": "9108",
        "HOME": "/somewhere",
    }
    told = for_programs(theirs, OWN, tmp_path)

    assert told == {**OWN, "POSTROOM_ATTACHMENT_ROOTS": str(tmp_path), "POSTROOM_LOG_FORMAT": "text"}


def test_other_settings_go_on_with_paths_meant_from_here(tmp_path: Path) -> None:
    """The programs run in another folder."""
    theirs = {
        "POSTROOM_SCHEDULE_FILE": "schedule.toml",
        "POSTROOM_WEBHOOK_SECRETS_FILE": "/run/secrets/webhooks",
        "POSTROOM_CONCURRENCY": "5",
        "POSTROOM_ATTACHMENT_ROOTS": "/invoices",
    }
    told = for_programs(theirs, OWN, tmp_path)

    assert told["POSTROOM_SCHEDULE_FILE"] == str(tmp_path / "schedule.toml")
    assert {name: told[name] for name in list(theirs)[1:]} == {name: theirs[name] for name in list(theirs)[1:]}


def test_names_of_sessions_are_read(tmp_path: Path) -> None:
    """From the program's own file; a wrong one is told, and development's own has nothing to add."""
    file = tmp_path / "sessions.toml"
    file.write_text('[sessions.shop]\nhost = "smtp.example.com"\nport = 465\nanonymous = true\n')
    with Place.opened(tmp_path / ".postroom") as place:
        assert session_names({"POSTROOM_SESSIONS_FILE": str(file)}, place) == {"shop"}
        assert session_names({"POSTROOM_SESSIONS_FILE": str(place.sessions)}, place) == set()
        assert session_names({}, place) == set()
        with pytest.raises(SettingsException, match=r"POSTROOM_SESSIONS_FILE names .*, which cannot be read"):
            session_names({"POSTROOM_SESSIONS_FILE": str(tmp_path / "none")}, place)
