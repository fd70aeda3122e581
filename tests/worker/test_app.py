"""The Celery app: whose broker it uses, what it registers, and how a wrong setting ends the start."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import celery
import pytest

from postroom_contract.names import QUEUES, TASK_DELIVER
from postroom_worker.app import EXIT_BAD_SETTINGS, make_app
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
    assert set(app.amqp.queues) == set(QUEUES)
    assert set(app.conf.accept_content) | set(app.conf.result_accept_content) == {"json"}


@pytest.mark.parametrize("command", [("-m", "postroom_worker"), ("-m", "celery", "-A", "postroom_worker", "worker")])
def test_a_worker_with_wrong_settings_does_not_start(command: tuple[str, ...], tmp_path: Path) -> None:
    """Both ways to start list every mistake on standard error and exit with 78."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("POSTROOM_")}
    ended = subprocess.run(
        [sys.executable, *command],
        env=environment | {"POSTROOM_BROKER_URL": BROKER, "POSTROOM_DRAIN_S": "soon"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ended.returncode == EXIT_BAD_SETTINGS, ended
    for name in ("POSTROOM_KEYS", "POSTROOM_PASSWORD_KEYS", "POSTROOM_DRAIN_S"):
        assert name in ended.stderr
    assert "Traceback" not in ended.stderr
