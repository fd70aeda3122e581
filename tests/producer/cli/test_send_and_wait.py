"""`postroom send --wait` and `postroom status` with a real worker and a real SMTP server behind them."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from postroom.demo.examples import Example, Place, message
from postroom.demo.stage import Stage, set_stage
from postroom.local.interruption import Interruption
from postroom.local.worker_process import running_worker
from tests.producer.cli.conftest import Command, Keys
from tests.support.valkey import ValkeyServer, connect
from tests.support.waiting import wait_until


@pytest.fixture
def stage(redis_url: str, tmp_path: Path) -> Iterator[Stage]:
    """SMTP servers, and a worker that knows their certificates and keys."""
    with (
        set_stage(tmp_path) as stage,
        Interruption(lambda _line: None) as interruption,
        running_worker(stage.worker_settings(redis_url), tmp_path, interruption),
    ):
        yield stage


def test_exit_code_and_line_tell_the_outcome(command: Command, redis_url: str, stage: Stage) -> None:
    """0 where the server has the message and 10 where it refused the login; `status` tells the same again."""
    settings = {"POSTROOM_BROKER_URL": redis_url, "POSTROOM_KEYS": stage.keys}

    def send(example: Example) -> Result:
        asked = {"EmailMessage": example.message, "BasicEmailSessionDetails": stage.session_for(example)}
        return command("send", "-", "--wait", "30", stdin=json.dumps({**asked, "CloseSession": True}), **settings)

    sent = send(Example("", message()))
    refused = send(Example("", message(), place=Place.STARTTLS, use_ssl=False, has_right_password=False))
    told, told_refused = json.loads(sent.stdout), json.loads(refused.stdout)
    again = command("status", told["id"], **settings)
    (copy,) = stage.servers[Place.TLS].messages

    assert (sent.exit_code, told["state"], told["accepted"]) == (0, "sent", ["recipient@outlook.com"])
    assert copy.parsed()["Message-ID"] == told["message_id"]
    assert (refused.exit_code, told_refused["state"]) == (10, "failed")
    assert told_refused["error"]["error_code"] == 300
    assert told_refused["message_id"] == f"<{told_refused['id']}@gmail.com>"
    assert (again.exit_code, json.loads(again.stdout)) == (0, told)


def test_redis_lost_while_waiting_leaves_the_id(
    valkey_program: Path, tmp_path: Path, request_json: dict[str, Any], keys: Keys
) -> None:
    """The message is queued, so the line must not suggest to send it again."""
    with ValkeyServer(valkey_program, tmp_path) as server:
        environment = {**os.environ, "POSTROOM_KEYS": keys.sealing, "POSTROOM_BROKER_URL": server.url}
        process = subprocess.Popen(
            [sys.executable, "-m", "postroom", "send", "-", "--wait", "60"],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdin
        process.stdin.write(json.dumps(request_json))
        process.stdin.close()
        process.stdin = None
        with connect(server.url) as client:
            wait_until(client.pubsub_channels, 30, "the command to wait")
            (key,) = client.keys("postroom.delivery.*")
        server.kill()
        stdout, stderr = process.communicate(timeout=30)

    assert (process.returncode, stdout) == (69, "")
    assert f"postroom status {key.decode().removeprefix('postroom.delivery.')}" in stderr
    assert "The message was queued" in stderr
