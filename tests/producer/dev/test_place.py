"""The folder of development: made once, for its owner alone, and found again."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from postroom import Mailer
from postroom.dev.place import Place, exports


def test_keys_are_made_once(tmp_path: Path) -> None:
    """What was queued yesterday opens today."""
    one = Place.make(tmp_path / ".postroom")
    keys = one.keys.read_text()
    two = Place.make(tmp_path / ".postroom")

    assert two.keys.read_text() == keys != two.password_keys.read_text()
    assert (one.folder.stat().st_mode & 0o777, one.keys.stat().st_mode & 0o777) == (0o700, 0o600)
    assert (one.folder / ".gitignore").read_text() == "*\n"


def test_the_env_file_is_all_that_a_program_needs(tmp_path: Path) -> None:
    """Also where the folder's name is one that a shell would take apart; password keys are not in it."""
    place = Place.make(tmp_path / "a folder's name")
    settings = place.write_settings("redis://127.0.0.1:1/0", 1025)
    sourced = subprocess.run(
        ["/bin/sh", "-c", f'. "{place.env_file}"; env'], env={}, capture_output=True, text=True, check=True
    )
    read = dict(line.split("=", 1) for line in sourced.stdout.splitlines() if line.startswith("POSTROOM_"))

    assert read == settings
    assert "PASSWORD" not in place.env_file.read_text()
    Mailer.from_env(read).close()


def test_what_is_not_a_folder_is_told(tmp_path: Path) -> None:
    """A file is in the way."""
    (tmp_path / "x").write_text("")
    with pytest.raises(OSError, match="exists"):
        Place.make(tmp_path / "x")


def test_exports_are_lines_for_a_shell() -> None:
    """Quoted where that is needed."""
    assert exports({"A": "plain", "B": "with space"}) == ["export A=plain", "export B='with space'"]
