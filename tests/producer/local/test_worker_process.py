"""A worker's process: what it is told, and that a wrong start is seen."""

import os
from pathlib import Path

import pytest

from postroom.local.child import ChildFailed
from postroom.local.interruption import Interruption
from postroom.local.worker_process import running_worker
from postroom_contract.sealing import generate_key


def test_worker_is_ready_and_told_nothing_of_its_surroundings(
    redis_url: str, tmp_path: Path, interruption: Interruption, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Settings that a person has for workers of theirs would keep ours from starting, and do not reach it."""
    monkeypatch.setenv("POSTROOM_CONCURRENCY", "not a number")
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://127.0.0.1:1/0")
    keys = {"POSTROOM_KEYS": generate_key(), "POSTROOM_PASSWORD_KEYS": generate_key()}
    with running_worker({"POSTROOM_BROKER_URL": redis_url, **keys}, tmp_path, interruption) as worker:
        pid = worker.pid
        assert " ready." in worker.log()

    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_worker_with_wrong_settings_is_told_with_its_complaint(tmp_path: Path, interruption: Interruption) -> None:
    """The list of mistakes comes through."""
    with (
        pytest.raises(ChildFailed, match=r"exit code 78(.|\n)*POSTROOM_PASSWORD_KEYS"),
        running_worker({"POSTROOM_KEYS": generate_key()}, tmp_path, interruption),
    ):
        pytest.fail("the block must not run")
