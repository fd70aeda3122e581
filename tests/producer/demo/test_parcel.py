"""The examples on their way: in which order they are queued, and what is said while they are awaited."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from postroom.demo import parcel as parcel_module
from postroom.demo.examples import all_examples
from postroom.demo.parcel import collect, hand_over
from postroom.demo.stage import Stage, set_stage
from postroom.local.child import Child, ChildFailed
from postroom.local.interruption import Interruption
from postroom.mailer import Mailer
from postroom.settings import ProducerSettings
from postroom_contract.sealing import Keyring
from tests.support.valkey import connect


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """A stage without a worker."""
    with set_stage(tmp_path) as stage:
        yield stage


@pytest.fixture
def mailer(redis_url: str, stage: Stage) -> Iterator[Mailer]:
    """A mailer with the stage's keys."""
    with Mailer(ProducerSettings(redis_url, redis_url, Keyring.parse(stage.keys))) as mailer:
        yield mailer


@pytest.fixture
def idler(tmp_path: Path) -> Iterator[Child]:
    """A process that takes no messages."""
    with Child("worker", [sys.executable, "-c", "input()"], tmp_path, {}) as child:
        yield child


def test_all_but_the_refused_are_queued_and_the_slowest_first(redis_url: str, stage: Stage, mailer: Mailer) -> None:
    """A refusal is an outcome at once; the closed port, which is tried longest, must not begin last."""
    examples = all_examples(stage.attachments)
    parcels = hand_over(examples, stage, mailer)
    with connect(redis_url) as client:
        queued = client.lrange("postroom.normal", 0, -1) + client.lrange("postroom.urgent", 0, -1)
        (slowest,) = [p.receipt for p in parcels if p.receipt and p.example.expected.attempts > 1]

    assert [parcel.example for parcel in parcels] == list(examples)
    assert len(queued) == len(examples) - 1
    assert [parcel.told["state"] for parcel in parcels if parcel.told] == ["refused"]
    assert slowest.id.encode() in queued[-2], "a worker pops from the right; behind it stands the urgent one"


def test_who_waits_in_vain_is_told_so_and_gets_the_state_there_is(
    stage: Stage, mailer: Mailer, interruption: Interruption, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Progress names what is still waited for; in the end each parcel has something to show."""
    monkeypatch.setattr(parcel_module, "OUTCOME_TIMEOUT_S", 0.3)
    monkeypatch.setattr(parcel_module, "REMIND_S", 0.1)
    parcels = hand_over(all_examples(stage.attachments)[:1], stage, mailer)
    with Child("worker", [sys.executable, "-c", "import time; time.sleep(60)"], stage.attachments, {}) as child:
        collect(parcels, child, interruption, said.append)

    assert "  still waiting for: one recipient (queued)" in said
    assert [parcel.told and parcel.told["state"] for parcel in parcels] == ["queued"]


def test_worker_that_has_ended_is_not_waited_for(
    stage: Stage, mailer: Mailer, idler: Child, interruption: Interruption, said: list[str]
) -> None:
    """Its end is told, and the demo is over."""
    parcels = hand_over(all_examples(stage.attachments)[:1], stage, mailer)
    with pytest.raises(ChildFailed, match="worker has ended by itself"):
        collect(parcels, idler, interruption, said.append)
