"""`postroom flower`: the process becomes Flower, which signals then reach. What it shows is tested with a real system."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from postroom.testing import SilentListener, free_port
from tests.producer.cli.conftest import Command
from tests.support.waiting import wait_until


def test_flower_takes_over_the_process(redis_url: str, tmp_path: Path) -> None:
    """It listens where it was told to, prints a password once, and SIGTERM to the same process id ends it."""
    environment = {**os.environ, "POSTROOM_BROKER_URL": redis_url}
    environment.pop("POSTROOM_FLOWER_AUTH", None)
    log, port = tmp_path / "log", free_port()
    with log.open("wb") as output:
        arguments = [sys.executable, "-m", "postroom", "flower", "-p", str(port)]
        process = subprocess.Popen(arguments, env=environment, stdout=output, stderr=output)
    try:
        wait_until(lambda: f"Visit me at http://127.0.0.1:{port}" in log.read_text(), 30, "Flower to listen")
    finally:
        process.send_signal(signal.SIGTERM)
        code = process.wait(30)

    assert code == 0
    assert log.read_text().count("log in as postroom with the password ") == 1


def test_a_port_that_is_taken_is_told_before_anything_else(command: Command) -> None:
    """As beside `postroom dev`; no password is printed that nobody can use."""
    with SilentListener() as other:
        done = command("flower", "--port", str(other.port))

    assert done.exit_code == 78
    assert done.stderr.startswith(f"postroom: port {other.port} is taken (`postroom dev` shows Flower there, too)")
    assert "password" not in done.stderr


@pytest.mark.parametrize("missing", ["flower", "aiosmtplib"])
def test_missing_parts_are_told_with_the_command_that_installs_them(
    command: Command, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    """Where only the application's side is installed, one line says what is lacking."""
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == missing else find_spec(name))
    done = command("flower")

    assert done.exit_code == 78
    assert done.stderr == "postroom: Flower is not installed here: pip install '.[flower]' in Postroom's folder\n"
