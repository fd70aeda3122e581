"""`postroom status`: what it tells of deliveries in every state, read from real records in Redis."""

import json
import time
from typing import Any

import pytest

from postroom_contract.error_codes import ErrorCode
from postroom_contract.errors import EmailSessionException
from postroom_contract.names import RESULT_KEY
from postroom_contract.outcome import (
    Cancelled,
    Expired,
    Failed,
    Outcome,
    Partial,
    Refusal,
    Report,
    Sent,
    Unknown,
    report_of_error,
)
from postroom_contract.sealing import Keyring, generate_key
from tests.producer.cli.conftest import Command, Keys
from tests.support.valkey import connect

ID = "0b0e7b3e-7a55-4f0e-9d4b-0c8a3c1d2e3f"


def store(redis_url: str, status: str, value: object = None) -> None:
    """Write a record as Celery does."""
    with connect(redis_url) as client:
        client.set(RESULT_KEY.format(id=ID), json.dumps({"status": status, "result": value, "task_id": ID}), ex=60)


def stored_outcome(outcome: Outcome, keys: Keys) -> dict[str, Any]:
    """An outcome in the form in which Celery stores what a task returned."""
    return {"__type__": "postroom.Outcome", "__value__": outcome.seal(Keyring.parse(keys.sealing))}


def failed() -> Failed:
    """A failure with an error in it."""
    facts = {"host": "127.0.0.1", "port": 9, "reason": "refused", "retryable": True}
    error = EmailSessionException(ErrorCode.INVALID_PORT, facts)
    return Failed(ID, 100, report=Report(attempts=5, error=report_of_error(error)))


@pytest.mark.parametrize(
    ("outcome", "state", "exit_code"),
    [
        (Sent(ID, report=Report(attempts=1)), "sent", 0),
        (failed(), "failed", 10),
        (Partial(ID, report=Report(attempts=1)), "partial", 11),
        (Unknown(ID, report=Report(attempts=2)), "unknown", 12),
        (Cancelled(ID, report=Report()), "cancelled", 13),
        (Expired(ID, report=Report()), "expired", 14),
    ],
    ids=["sent", "failed", "partial", "unknown", "cancelled", "expired"],
)
def test_every_outcome_has_its_exit_code(
    command: Command, redis_url: str, keys: Keys, *, outcome: Outcome, state: str, exit_code: int
) -> None:
    """A script can tell the outcomes apart without reading the line."""
    store(redis_url, "SUCCESS", stored_outcome(outcome, keys))
    done = command("status", ID, POSTROOM_BROKER_URL=redis_url)

    assert done.exit_code == exit_code
    assert json.loads(done.stdout)["state"] == state


def test_outcome_is_told_with_recipients_and_error(command: Command, redis_url: str, keys: Keys) -> None:
    """The line is the opened outcome."""
    report = Report(
        message_id="<1@example.org>",
        accepted=("a@example.org",),
        refused={"b@example.org": Refusal(code=550, enhanced="5.1.1", text="No such user")},
        attempts=2,
    )
    store(redis_url, "SUCCESS", stored_outcome(Partial(ID, report=report), keys))
    told = json.loads(command("status", ID, POSTROOM_BROKER_URL=redis_url).stdout)

    assert told == {
        "id": ID,
        "state": "partial",
        "message_id": "<1@example.org>",
        "accepted": ["a@example.org"],
        "refused": {"b@example.org": {"code": 550, "enhanced": "5.1.1", "text": "No such user"}},
        "attempts": 2,
        "possible_duplicate": False,
        "error": None,
    }


def test_error_of_a_failure_is_told_whole(command: Command, redis_url: str, keys: Keys) -> None:
    """Type, category, code and a sentence with host and port: what the block promises."""
    store(redis_url, "SUCCESS", stored_outcome(failed(), keys))
    error = json.loads(command("status", ID, POSTROOM_BROKER_URL=redis_url).stdout)["error"]

    assert (error["type"], error["category"], error["error_code"]) == ("EmailSessionException", "Socket", 100)
    assert "127.0.0.1 port 9" in error["message"]
    assert error["retryable"]


@pytest.mark.parametrize(
    ("status", "state", "attempts"),
    [("PENDING", "queued", 0), ("STARTED", "sending", None), ("RETRY", "retrying", None)],
)
def test_pending_delivery_has_a_state_and_an_exit_code_of_its_own(
    command: Command, redis_url: str, status: str, state: str, attempts: int | None
) -> None:
    """0 means sent, and nothing else: a loop in a shell can rely on it."""
    store(redis_url, status)
    done = command("status", ID, POSTROOM_BROKER_URL=redis_url)
    told = json.loads(done.stdout)

    assert (done.exit_code, told["state"], told["attempts"]) == (75, state, attempts)


def test_unknown_id_is_not_found_without_waiting(command: Command, redis_url: str) -> None:
    """Of what left no trace, none is waited for."""
    started_at = time.monotonic()
    done = command("status", ID, "--wait", "100", POSTROOM_BROKER_URL=redis_url)
    told = json.loads(done.stdout)

    assert done.exit_code == 16
    assert (told["id"], told["state"]) == (ID, "not_found")
    assert time.monotonic() - started_at < 100


def test_redis_away_is_one_line(command: Command, away_url: str) -> None:
    """The address is named, and nothing is said of queueing, for nothing was to be queued."""
    done = command("status", ID, POSTROOM_BROKER_URL=away_url)

    assert done.exit_code == 69
    assert away_url in done.stderr
    assert "  " not in done.stderr
    assert "queued" not in done.stderr


def test_other_keys_are_a_wrong_setting(command: Command, redis_url: str, keys: Keys) -> None:
    """Whoever asks with another ring is told so."""
    store(redis_url, "SUCCESS", stored_outcome(failed(), keys))
    done = command("status", ID, POSTROOM_BROKER_URL=redis_url, POSTROOM_KEYS=generate_key("other"))

    assert done.exit_code == 78
    assert "POSTROOM_KEYS" in done.stderr


@pytest.mark.parametrize("identifier", ["", "../../etc", "a b", "\N{SNOWMAN}"])
def test_any_text_may_be_asked_for(command: Command, redis_url: str, identifier: str) -> None:
    """What is no id is not found."""
    assert command("status", identifier, POSTROOM_BROKER_URL=redis_url).exit_code == 16
