"""A broker on this machine: a real server on a free port, found where this machine has one."""

import importlib.metadata
from pathlib import Path

import pytest

from postroom.local.broker import find_server, running_broker
from postroom.local.child import ChildFailed
from postroom.local.interruption import Interruption
from tests.support.valkey import answers, connect


def test_broker_runs_for_the_length_of_its_block(
    valkey_program: Path, tmp_path: Path, interruption: Interruption
) -> None:
    """It answers, keeps nothing on disk, and is gone afterwards."""
    with running_broker(valkey_program, tmp_path, interruption) as url, connect(url) as client:
        assert client.config_get("save", "appendonly", "bind") == {
            "save": "",
            "appendonly": "no",
            "bind": "127.0.0.1",
        }
    assert not answers(url)


def test_server_on_path_serves_where_none_is_embedded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """valkey-server comes before redis-server; without either there is none."""

    def no_files(_name: str) -> None:
        raise importlib.metadata.PackageNotFoundError

    monkeypatch.setattr(importlib.metadata, "files", no_files)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_server() is None
    for name in ("redis-server", "valkey-server"):
        program = tmp_path / name
        program.touch(mode=0o755)
        assert find_server() == program


def test_program_that_is_no_server_is_told(tmp_path: Path, interruption: Interruption) -> None:
    """After a few ports it gives up, with the program's own complaint."""
    program = tmp_path / "not-a-server"
    program.write_text("#!/bin/sh\necho no memory left >&2\nexit 3\n")
    program.chmod(0o755)
    with (
        pytest.raises(ChildFailed, match=r"exit code 3(.|\n)*no memory left"),
        running_broker(program, tmp_path, interruption),
    ):
        pytest.fail("the block must not run")
