"""The sign that a process works: a file, and what systemd is told."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from postroom_contract.errors import SettingsException
from postroom_contract.sign_of_life import SignOfLife

LONG_AGO_S = 1_000_000_000


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    """A socket where systemd would listen."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(10)
        yield listening


def test_file_is_there_from_the_first_sign_to_the_last(tmp_path: Path) -> None:
    """Each sign makes it fresh; what another process has left there is no sign of this one."""
    file = tmp_path / "alive"
    file.touch()
    sign = SignOfLife(file)
    assert not file.exists()
    sign.show()
    os.utime(file, (LONG_AGO_S, LONG_AGO_S))
    sign.show()
    assert file.stat().st_mtime > LONG_AGO_S
    sign.withdraw()
    assert not file.exists()


def test_systemd_hears_of_each_step(systemd: socket.socket) -> None:
    """Ready once, alive each time, and that it stops."""
    sign = SignOfLife(None, systemd.getsockname())
    sign.show()
    sign.show()
    sign.withdraw()
    sign.show_draining()

    assert [systemd.recv(100).decode() for _ in range(4)] == [
        "READY=1\nWATCHDOG=1",
        "WATCHDOG=1",
        "STOPPING=1",
        "WATCHDOG=1",
    ]


def test_systemd_may_listen_at_an_abstract_address() -> None:
    """It writes one with an @ in front."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(f"\0postroom-test-{os.getpid()}")
        SignOfLife(None, f"@postroom-test-{os.getpid()}").show()

        assert listening.recv(100).startswith(b"READY=1")


def test_nobody_listens(tmp_path: Path) -> None:
    """Neither a socket that is gone nor the absence of both is an error."""
    SignOfLife(None, str(tmp_path / "nowhere")).show()
    SignOfLife(None).withdraw()


def test_a_folder_that_has_gone_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The process goes on; whoever watches it sees no sign any more."""
    folder = tmp_path / "run"
    folder.mkdir()
    sign = SignOfLife(folder / "alive")
    folder.rmdir()
    with caplog.at_level(logging.WARNING):
        sign.show()
        sign.show()

    assert [record.getMessage() for record in caplog.records] == [
        "POSTROOM_ALIVE_FILE cannot be written any more: No such file or directory"
    ]


def test_environment_names_the_file(tmp_path: Path) -> None:
    """Without a name there is no file."""
    SignOfLife.from_env({"POSTROOM_ALIVE_FILE": str(tmp_path / "alive")}).show()
    SignOfLife.from_env({}).show()

    assert [path.name for path in tmp_path.iterdir()] == ["alive"]


@pytest.mark.parametrize(("name", "complaint"), [("nowhere/alive", "there is no folder"), ("", "is no file")])
def test_file_that_cannot_be_is_refused(tmp_path: Path, name: str, complaint: str) -> None:
    """The start ends, instead of a supervisor that waits for a sign in vain."""
    with pytest.raises(SettingsException, match=complaint):
        SignOfLife.from_env({"POSTROOM_ALIVE_FILE": str(tmp_path / name)})
