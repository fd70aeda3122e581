"""How each ending is written down: what the ledger gets, what Celery is told, and that neither names anybody."""

from __future__ import annotations

import json

import pytest

from postroom_broker.ledger.claims import Act
from postroom_contract.delivery import Progress
from postroom_contract.error_codes import ErrorCode
from postroom_contract.errors import PostroomError, SealException, SmtpCommandException, UnknownOutcomeException
from postroom_contract.outcome import Failed, Outcome, Partial, Report, Sent, State, report_of_error
from postroom_contract.sealing import Keyring, generate_key
from postroom_worker.async_task import RetryLater
from postroom_worker.conclusion import Again, Hold
from postroom_worker.delivery import Unopened
from postroom_worker.settlement import Parcel, write_down

KEYS = Keyring.parse(generate_key("seal"))
PARCEL = Parcel("d1", "postroom.normal", "payload", retries=1)
ANN = "ann@example.com"
BUSY = SmtpCommandException(None, {"smtp_code": 451, "text": f"{ANN} is busy", "retryable": True})


def report(error: PostroomError | None = None) -> Report:
    """A report about Ann."""
    return Report(accepted=(ANN,), attempts=1, error=None if error is None else report_of_error(error))


@pytest.mark.parametrize("outcome", [Sent("d1", report=report()), Partial("d1", 1301, report=report(BUSY))])
def test_an_outcome_that_reached_somebody_is_a_success(outcome: Outcome) -> None:
    """Stored sealed; Celery's task returns it."""
    settlement, told = write_down(outcome, PARCEL, KEYS)

    assert (settlement.act, settlement.state, told) == (Act.END, outcome.state, outcome)
    assert json.loads(settlement.result)["status"] == "SUCCESS"
    assert ANN not in settlement.result


def test_a_failure_is_an_error_with_public_facts() -> None:
    """Celery's task raises it; the rest of it is sealed."""
    settlement, told = write_down(Failed("d1", 1301, report=report(BUSY)), PARCEL, KEYS)
    result = json.loads(settlement.result)

    assert (settlement.state, settlement.code, result["status"]) == (State.FAILED, 1301, "FAILURE")
    assert isinstance(told, SmtpCommandException)
    assert result["result"]["exc_type"] == "SmtpCommandException"
    assert ANN not in settlement.result + repr(told.args)


def test_a_retry_is_the_message_again_with_what_was_learned() -> None:
    """It goes back to its own queue, counted, with sealed progress; the reason is told in public words."""
    settlement, told = write_down(Again(30.0, BUSY, Progress(attempts=2)), PARCEL, KEYS)
    queue, _, message = settlement.message.partition("\n")
    payload, progress = json.loads(json.loads(message)["body"])[0]

    assert (settlement.act, settlement.state, settlement.wait_s, settlement.code) == (
        Act.RETRY,
        State.RETRYING,
        30,
        1301,
    )
    assert (queue, payload, progress) == ("postroom.normal", "payload", settlement.progress)
    assert json.loads(message)["headers"]["retries"] == 2
    assert Progress.open(progress, "d1", KEYS).attempts == 2
    assert isinstance(told, RetryLater)
    assert (told.args, told.is_published) == (("payload", progress), False)
    assert ANN not in settlement.result + repr(told.error.args)


def test_a_held_message_keeps_what_was_learned() -> None:
    """The message waits, whole, with its progress; there is no result yet."""
    held = Hold(UnknownOutcomeException(ErrorCode.UNKNOWN_OUTCOME, {}), Progress(in_doubt=(ANN,)))
    settlement, told = write_down(held, PARCEL, KEYS)

    assert (settlement.act, settlement.state, settlement.result, settlement.code) == (Act.HOLD, State.HELD, "", 1303)
    assert Progress.open(settlement.progress, "d1", KEYS).in_doubt == (ANN,)
    assert "payload" in settlement.message
    assert isinstance(told, UnknownOutcomeException)


def test_what_cannot_be_opened_is_a_dead_letter_still_sealed() -> None:
    """With its reason, its queue, and the message as it was."""
    unopened = Unopened(SealException(ErrorCode.SEAL_BROKEN, {"reason": "unknown_key"}))
    settlement, told = write_down(unopened, PARCEL, KEYS)
    dead = json.loads(settlement.message)

    assert (settlement.act, settlement.state, settlement.reason) == (Act.BURY, State.HELD, "unknown_key")
    assert (dead["reason"], dead["queue"]) == ("unknown_key", "postroom.normal")
    assert json.loads(json.loads(dead["message"])["body"])[0] == ["payload"]
    assert isinstance(told, SealException)


def test_a_bug_is_a_dead_letter_with_the_kind_of_the_mistake() -> None:
    """Its words stay in the worker, and an operator is told what it is."""
    settlement, _ = write_down(Unopened(PostroomError(None, {"reason": "KeyError"})), PARCEL, KEYS)

    assert (json.loads(settlement.message)["reason"], settlement.code, settlement.reason) == ("bug", 1500, "KeyError")


def test_what_is_written_down_opens_for_its_own_delivery_only() -> None:
    """Progress is bound to the delivery's id."""
    settlement, _ = write_down(Again(1.0, BUSY, Progress(attempts=2)), PARCEL, KEYS)

    with pytest.raises(SealException):
        Progress.open(settlement.progress, "d2", KEYS)


def test_a_parcel_shows_nothing() -> None:
    """Sealed or not, a payload has no place in a log."""
    assert "payload" not in repr(PARCEL)
