"""Doing something to several deliveries: a line for each, in order, and one exit code for all."""

import json

import pytest

from postroom.cli.acting import act_on
from postroom.receipt import Receipt
from postroom_contract.errors import BrokerUnavailable
from tests.producer.cli.conftest import Keys


@pytest.fixture
def surroundings(monkeypatch: pytest.MonkeyPatch, redis_url: str, keys: Keys) -> None:
    """A Redis that knows no delivery."""
    monkeypatch.setenv("POSTROOM_BROKER_URL", redis_url)
    monkeypatch.setenv("POSTROOM_KEYS", keys.sealing)


def test_all_were_done(surroundings: None, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is raised: the command ends with 0."""
    act_on(["one", "two"], lambda receipt: True)

    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == [
        {"id": "one", "done": True, "state": "not_found"},
        {"id": "two", "done": True, "state": "not_found"},
    ]


def test_one_was_not(surroundings: None, capsys: pytest.CaptureFixture[str]) -> None:
    """The others are done all the same, and the exit code is 16."""
    with pytest.raises(SystemExit) as caught:
        act_on(["one", "two", "three"], lambda receipt: receipt.id != "two")

    assert caught.value.code == 16
    told = [json.loads(line)["done"] for line in capsys.readouterr().out.splitlines()]
    assert told == [True, False, True]


def test_redis_goes_away_on_the_way(surroundings: None, capsys: pytest.CaptureFixture[str]) -> None:
    """What was done before is told already."""

    def act(receipt: Receipt) -> bool:
        if receipt.id == "two":
            raise BrokerUnavailable
        return True

    with pytest.raises(BrokerUnavailable):
        act_on(["one", "two", "three"], act)

    assert len(capsys.readouterr().out.splitlines()) == 1
