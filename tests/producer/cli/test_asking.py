"""Asking a receipt: with and without waiting, and when the answer comes while it is asked for."""

import json
import threading

import pytest

from postroom.cli.asking import ask
from postroom.mailer import Mailer
from postroom_broker.ledger.record import record_key
from postroom_contract.names import RESULT_KEY
from postroom_contract.outcome import Report, Sent
from postroom_contract.sealing import Keyring
from tests.producer.cli.conftest import Keys
from tests.support.valkey import connect
from tests.support.waiting import wait_until

ID = "5f6a2b3c-0000-4000-8000-000000000001"
KEY = RESULT_KEY.format(id=ID)


def test_outcome_that_comes_while_waiting_is_told(redis_url: str, keys: Keys) -> None:
    """The wait ends with the news, not with the time."""
    record = Sent(ID, report=Report(attempts=1)).seal(Keyring.parse(keys.sealing))
    done = {"status": "SUCCESS", "result": {"__type__": "postroom.Outcome", "__value__": record}}
    told = []
    with (
        connect(redis_url) as client,
        Mailer.from_env({"POSTROOM_BROKER_URL": redis_url, "POSTROOM_KEYS": keys.sealing}) as mailer,
    ):
        client.set(KEY, json.dumps({"status": "PENDING", "result": None}), ex=60)
        asking = threading.Thread(target=lambda: told.append(ask(mailer.receipt(ID), 60)))
        asking.start()
        wait_until(lambda: client.pubsub_numsub(KEY)[0][1], 20, "the command to listen")
        client.set(KEY, json.dumps(done), ex=60)
        client.publish(KEY, "news")
        asking.join(30)

    assert [answer["state"] for answer in told] == ["sent"]


def test_nothing_is_waited_for_without_time(redis_url: str, keys: Keys) -> None:
    """Zero seconds is one look."""
    with (
        connect(redis_url) as client,
        Mailer.from_env({"POSTROOM_BROKER_URL": redis_url, "POSTROOM_KEYS": keys.sealing}) as mailer,
    ):
        client.set(KEY, json.dumps({"status": "RETRY", "result": None}), ex=60)

        assert ask(mailer.receipt(ID), 0)["state"] == "retrying"


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({}, f"no trace of {ID} at this POSTROOM_BROKER_URL; outcomes are kept for a day"),
        (
            {"state": "held", "code": "1303", "reason": ""},
            f"an operator decides, by `postroom held send {ID}` or `postroom held drop {ID}`",
        ),
        (
            {"state": "held", "code": "1401", "reason": "unknown_key"},
            f"it waits among the dead letters; `postroom dead show {ID}` says what to do",
        ),
    ],
    ids=["no trace", "in doubt", "dead"],
)
def test_where_to_go_on_is_told_to_people(
    redis_url: str, keys: Keys, capsys: pytest.CaptureFixture[str], fields: dict[str, str], told: str
) -> None:
    """On standard error, at once, where waiting is of no use."""
    with (
        connect(redis_url) as client,
        Mailer.from_env({"POSTROOM_BROKER_URL": redis_url, "POSTROOM_KEYS": keys.sealing}) as mailer,
    ):
        if fields:
            client.hset(record_key(ID), mapping=fields)
            client.expire(record_key(ID), 60)
        ask(mailer.receipt(ID), 60)

    assert capsys.readouterr().err == f"postroom: {told}\n"
