"""The Celery app: whose broker it uses, what it registers, and how a wrong setting ends the start."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import celery
import pytest

from postroom_contract.names import ALL_QUEUES, TASK_DELIVER
from postroom_contract.sealing import generate_key
from postroom_worker.app import EXIT_BAD_SETTINGS, app_from_env, make_app
from tests.support.celery_worker import ROOT

BROKER, RESULTS = "redis://127.0.0.1:1/1", "redis://127.0.0.1:1/2"


def test_a_hosts_celery_settings_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """CELERY_BROKER_URL and its like belong to the program around us."""
    for name in ("CELERY_BROKER_URL", "CELERY_BROKER_READ_URL", "CELERY_BROKER_WRITE_URL", "CELERY_RESULT_BACKEND"):
        monkeypatch.setenv(name, "redis://host.example/9")
    app = make_app(BROKER, RESULTS)

    ways = (app.connection_for_read(), app.connection_for_write(), app.connection())
    assert [(way.hostname, way.virtual_host) for way in ways] == [("127.0.0.1", "1")] * 3
    assert app.backend.as_uri() == RESULTS


def test_the_app_never_becomes_the_hosts_current_one() -> None:
    """A host's own tasks keep their own app."""
    celery.Celery("host")
    make_app(BROKER, RESULTS)

    assert celery.current_app.main == "host"


def test_the_app_has_our_task_and_our_queues_and_speaks_json_only() -> None:
    """A pickle in the queue would run whatever its author likes."""
    app = make_app(BROKER, RESULTS)

    assert TASK_DELIVER in app.tasks
    assert set(app.amqp.queues) == set(ALL_QUEUES)
    assert set(app.conf.accept_content) | set(app.conf.result_accept_content) == {"json"}


def test_concurrency_is_the_setting_whoever_starts_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """`celery -A postroom_worker worker` takes it from the app."""
    monkeypatch.setenv("POSTROOM_CONCURRENCY", "7")

    assert app_from_env().conf.worker_concurrency == 7


BOTH_WAYS = [("-m", "postroom_worker"), ("-m", "celery", "-A", "postroom_worker", "worker")]


def start(command: tuple[str, ...], settings: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Start a worker that is to end by itself."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("POSTROOM_")}
    return subprocess.run(
        [sys.executable, *command],
        env=environment | settings,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("command", BOTH_WAYS)
def test_a_worker_with_wrong_settings_does_not_start(command: tuple[str, ...]) -> None:
    """Both ways to start list every mistake on standard error and exit with 78."""
    ended = start(command, {"POSTROOM_BROKER_URL": BROKER, "POSTROOM_DRAIN_S": "soon"})

    assert ended.returncode == EXIT_BAD_SETTINGS, ended
    for name in ("POSTROOM_KEYS", "POSTROOM_PASSWORD_KEYS", "POSTROOM_DRAIN_S"):
        assert name in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("command", BOTH_WAYS)
def test_a_worker_with_a_wrong_url_does_not_start(command: tuple[str, ...]) -> None:
    """It is said which, without it and without a traceback from inside Celery."""
    ended = start(command, {"POSTROOM_BROKER_URL": BROKER, "POSTROOM_RESULT_URL": "http://canary"})

    assert ended.returncode == EXIT_BAD_SETTINGS, ended
    assert "POSTROOM_RESULT_URL: it is not a Redis URL" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "canary" not in ended.stderr


@pytest.mark.parametrize("command", BOTH_WAYS)
def test_a_worker_whose_metrics_port_is_taken_does_not_start(command: tuple[str, ...]) -> None:
    """One line says which port and why; a worker that nobody watches would not be missed."""
    keys = {"POSTROOM_KEYS": generate_key("seal"), "POSTROOM_PASSWORD_KEYS": generate_key("lock")}
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = start(command, {**keys, "POSTROOM_BROKER_URL": BROKER, "POSTROOM_METRICS_PORT": str(port)})

    assert ended.returncode == EXIT_BAD_SETTINGS, ended
    (line,) = [line for line in ended.stderr.splitlines() if line.startswith("postroom: ")]
    assert f"metrics cannot be shown at 127.0.0.1 port {port}" in line
    assert "Traceback" not in ended.stderr
