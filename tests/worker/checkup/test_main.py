"""The process that looks at mail servers: one question on standard input, findings on standard output."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from postroom.testing import SmtpServer, at, free_port
from postroom_contract.sealing import generate_key


def ask(
    sessions: dict[str, Any], *, is_worker: bool = False, sender: str | None = None, **variables: str
) -> list[tuple[str, str]]:
    """Code and subject of each finding."""
    asked: dict[str, Any] = {
        "sessions": sessions,
        "sender": sender,
        "selectors": [],
        "resolver": None,
        "is_worker": is_worker,
    }
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("POSTROOM_")}
    ended = subprocess.run(
        [sys.executable, "-m", "postroom_worker.checkup"],
        input=json.dumps(asked),
        env={**inherited, **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    return sorted((told["code"], told["about"]) for told in map(json.loads, ended.stdout.splitlines()))


def relay(port: int) -> dict[str, Any]:
    """A session without a login."""
    return {"server_details": {"host": "127.0.0.1", "port": port, "use_ssl": False}, "credentials": {"anonymous": True}}


def test_several_sessions_are_told_apart() -> None:
    """Each finding names its session."""
    with SmtpServer() as server:
        found = ask({"good": relay(server.port), "bad": relay(free_port())})

    assert found == [("port_closed", "bad"), ("sender_unknown", "good"), ("server_reached", "good")]


def test_slow_server_has_told_what_it_had_told() -> None:
    """Each answer comes just in time, and all of them together do not."""
    slow = [at(phase).delay(2.8) for phase in ("GREETING", "EHLO", "MAIL", "RSET")]
    with SmtpServer(rules=slow) as server:
        found = ask({"slow": relay(server.port)}, sender="ann@[127.0.0.1]")

    assert found == [("server_reached", "slow"), ("server_slow", "slow")]


def test_settings_of_a_worker_are_checked_where_one_runs() -> None:
    """Less those that the doctor has read by itself."""
    assert ask({}, is_worker=True, POSTROOM_DRAIN_S="soon", POSTROOM_CONCURRENCY="0") == [("settings_wrong", "")] * 2
    assert ask({}, POSTROOM_DRAIN_S="soon") == []
    rings = {"POSTROOM_KEYS": generate_key(), "POSTROOM_PASSWORD_KEYS": generate_key()}
    assert ask({}, is_worker=True, **rings) == []
