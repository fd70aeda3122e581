"""`postroom worker`: the process becomes the worker, which signals then reach."""

import importlib.util
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.producer.cli.conftest import Command, Keys
from tests.support.waiting import wait_until


def test_worker_takes_over_the_process(redis_url: str, keys: Keys, tmp_path: Path) -> None:
    """It is ready under the same process id, and SIGTERM to that id ends it in good order."""
    rings = {"POSTROOM_KEYS": keys.sealing, "POSTROOM_PASSWORD_KEYS": keys.password}
    # In text Celery shows its banner.
    more = {"POSTROOM_BROKER_URL": redis_url, "POSTROOM_LOG_FORMAT": "text"}
    environment = {**os.environ, **rings, **more}
    log = tmp_path / "log"
    with log.open("wb") as output:
        arguments = [sys.executable, "-m", "postroom", "worker", "-c", "7", "-l", "info", "-n", "w@here"]
        process = subprocess.Popen(arguments, env=environment, stdout=output, stderr=output)
    try:
        wait_until(lambda: " ready." in log.read_text(), 30, "the worker to be ready")
    finally:
        process.send_signal(signal.SIGTERM)
        code = process.wait(30)

    assert code == 0
    assert "w@here ready." in log.read_text()
    assert " 7 (" in log.read_text(), "the banner tells the concurrency"


def test_missing_worker_is_told_with_the_command_that_installs_it(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where only the application's side is installed, one line says what is lacking."""
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "aiosmtplib" else find_spec(name))
    done = command("worker")

    assert done.exit_code == 78
    assert done.stderr == "postroom: the worker is not installed here: pip install '.[worker]' in Postroom's folder\n"


@pytest.mark.parametrize("options", [["-c", "0"], ["-c", "many"], ["-l", "loud"]])
def test_wrong_option_is_wrong_usage(command: Command, options: list[str]) -> None:
    """It is refused here, before anything is started."""
    assert command("worker", *options).exit_code == 2


def test_wrong_settings_end_the_start(keys: Keys) -> None:
    """The worker's own exit code and list of mistakes come through."""
    unset = {name: value for name, value in os.environ.items() if not name.startswith("POSTROOM_")}
    arguments = [sys.executable, "-m", "postroom", "worker"]
    done = subprocess.run(arguments, env=unset, capture_output=True, text=True, check=False, timeout=30)

    assert done.returncode == 78
    assert "POSTROOM_KEYS" in done.stderr
    assert "POSTROOM_PASSWORD_KEYS" in done.stderr
