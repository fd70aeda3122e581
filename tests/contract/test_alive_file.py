"""The file by whose age one can tell that a program works."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from postroom_contract.alive_file import SETTING, AliveFile


def test_it_is_made_and_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its age is what counts, not what is in it."""
    path = tmp_path / "alive"
    monkeypatch.setenv(SETTING, str(path))
    alive = AliveFile.from_env()
    alive.touch()
    os.utime(path, (0, 0))
    alive.touch()

    assert time.time() - path.stat().st_mtime < 60


def test_without_the_setting_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing is written anywhere."""
    monkeypatch.delenv(SETTING, raising=False)
    AliveFile.from_env().touch()


def test_a_file_that_cannot_be_touched_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The program goes on: its health check will say that something is wrong."""
    alive = AliveFile(tmp_path / "nowhere" / "alive")
    alive.touch()
    alive.touch()

    assert caplog.messages == ["POSTROOM_ALIVE_FILE cannot be touched: No such file or directory"]
