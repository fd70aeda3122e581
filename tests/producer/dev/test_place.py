"""The folder of development: made once, for its owner alone, and found again."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from postroom import Mailer
from postroom.dev.place import Place, PlaceRefused, exports
from postroom.settings import ProducerSettings
from postroom_contract.sealing import generate_key


def test_keys_are_made_once(tmp_path: Path) -> None:
    """What was queued yesterday opens today."""
    with Place.opened(tmp_path / ".postroom") as one:
        keys = one.keys.read_text()
    with Place.opened(tmp_path / ".postroom") as two:
        assert two.keys.read_text() == keys != two.password_keys.read_text()
        assert (one.folder.stat().st_mode & 0o777, one.keys.stat().st_mode & 0o777) == (0o700, 0o600)
        assert (one.folder / ".gitignore").read_text() == "*\n"


def test_the_env_file_is_all_that_a_program_needs(tmp_path: Path) -> None:
    """Also where the folder's name is one that a shell would take apart, and where the shell has keys of another system."""
    with Place.opened(tmp_path / "a folder's name") as place:
        settings = place.write_settings("redis://127.0.0.1:1/0", 1025)
    left = {"POSTROOM_KEYS": generate_key(), "POSTROOM_RESULT_URL": "redis://elsewhere"}
    sourced = subprocess.run(
        ["/bin/sh", "-c", f'. "{place.env_file}"; env'], env=left, capture_output=True, text=True, check=True
    )
    read = dict(line.split("=", 1) for line in sourced.stdout.splitlines() if line.startswith("POSTROOM_"))

    assert read == settings
    Mailer.from_env(read).close()


def test_sessions_lead_to_the_inbox(tmp_path: Path) -> None:
    """`dev` and those that a program names, whatever is in a name."""
    names = ["shop", 'with "quotes"', "Ännchen \U0001f600", "a.b"]
    with Place.opened(tmp_path / ".postroom") as place:
        read = ProducerSettings.from_env(place.write_settings("redis://127.0.0.1:1/0", 1025, names))

    assert set(read.sessions) == {"dev", "shop", *names}
    assert {session.server_details.port for session in read.sessions.values()} == {1025}


def test_what_cannot_be_used_is_told(tmp_path: Path) -> None:
    """A file in the way, a folder that others can read, one that is nowhere."""
    (tmp_path / "file").write_text("")
    (tmp_path / "open").mkdir(mode=0o755)
    for name, complaint in {
        "file": "is there and is no folder",
        "open": "is open to other users: chmod 700",
        "nowhere/.postroom": "there is no folder",
    }.items():
        with pytest.raises(PlaceRefused, match=complaint), Place.opened(tmp_path / name):
            pytest.fail("the block must not run")


def test_one_development_at_a_time(tmp_path: Path) -> None:
    """Two brokers would destroy each other's queue; whoever is first is told."""
    with (
        Place.opened(tmp_path / ".postroom"),
        pytest.raises(PlaceRefused, match=rf"already \(process {os.getpid()}\)"),
        Place.opened(tmp_path / ".postroom"),
    ):
        pytest.fail("the block must not run")
    with Place.opened(tmp_path / ".postroom"):
        pass


def test_a_broker_that_was_left_behind_keeps_a_second_one_out(tmp_path: Path) -> None:
    """After `kill -9` of `postroom dev` its broker lives on, and writes; it is named."""
    with Place.opened(tmp_path / ".postroom") as place:
        os.pwrite(place.lock, b"999999999", 0)  # more than a process id can be
        held = subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, pass_fds=[place.lock])
    told = rf"was killed has left running: cat \({held.pid}\). End them first: kill {held.pid}"
    with pytest.raises(PlaceRefused, match=told), Place.opened(tmp_path / ".postroom"):
        pytest.fail("the block must not run")
    held.communicate()
    with Place.opened(tmp_path / ".postroom"):
        pass


def test_exports_are_lines_for_a_shell() -> None:
    """Quoted where that is needed; what would contradict them is forgotten first."""
    forget, *lines = exports({"A": "plain", "B": "with space"})

    assert lines == ["export A=plain", "export B='with space'"]
    assert forget.startswith("unset POSTROOM_BROKER_URL_FILE POSTROOM_KEYS ")
