"""`postroom beat`: what is next, and what stops it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from postroom.cli import main

FILE = """
[[schedule]]
name = "monthly"
crontab = "30 7 1 * *"
timezone = "Europe/Berlin"
session = "shop"
message = {To = "ann@example.com", From = "shop@example.com", Subject = "s", Body = "b"}
"""
SESSION = '[sessions.shop]\nhost = "localhost"\nport = 25\nanonymous = true\n'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A schedule file and its sessions; no keys, no Redis."""
    (tmp_path / "schedule.toml").write_text(FILE, encoding="utf-8")
    (tmp_path / "sessions.toml").write_text(SESSION, encoding="utf-8")
    monkeypatch.setenv("POSTROOM_SCHEDULE_FILE", str(tmp_path / "schedule.toml"))
    monkeypatch.setenv("POSTROOM_SESSIONS_FILE", str(tmp_path / "sessions.toml"))
    return tmp_path


@pytest.mark.usefixtures("folder")
def test_next_prints_a_line_for_each_slot() -> None:
    """On the clocks of the entry's zone and in universal time, with the id that `postroom status` takes."""
    done = CliRunner().invoke(main, ["beat", "--next", "2"])
    lines = [json.loads(line) for line in done.stdout.splitlines()]

    assert done.exit_code == 0
    assert [line["entry"] for line in lines] == ["monthly", "monthly"]
    assert [line["local"][8:19] for line in lines] == ["01T07:30:00", "01T07:30:00"]
    assert all(set(line) == {"entry", "local", "send_at", "id"} for line in lines)
    assert lines[0]["send_at"] < lines[1]["send_at"]
    assert lines[0]["id"] != lines[1]["id"]


def test_mistakes_of_the_file_are_told_in_lines(folder: Path) -> None:
    """With the exit code of wrong settings."""
    (folder / "schedule.toml").write_text(FILE.replace("30 7", "90 7") + "every = 5", encoding="utf-8")
    done = CliRunner().invoke(main, ["beat", "--next", "1"])

    assert done.exit_code == 78
    assert "entry 'monthly' in POSTROOM_SCHEDULE_FILE: give either crontab" in done.stderr


def test_without_a_file_it_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """A newcomer's first try."""
    monkeypatch.delenv("POSTROOM_SCHEDULE_FILE", raising=False)
    done = CliRunner().invoke(main, ["beat", "--next", "1"])

    assert done.exit_code == 78
    assert "POSTROOM_SCHEDULE_FILE is not set (docs/beat.md shows a file)" in done.stderr
