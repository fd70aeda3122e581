"""Receipts: Celery's records as states and outcomes, also those that are none of ours."""

import json
from typing import Any

import pytest

from postroom.receipt import Receipt
from postroom.testing.memory import MemoryTracking
from postroom_broker.celery_results import MARKER
from postroom_broker.results import StoredResult
from postroom_contract.errors import (
    BrokerUnavailable,
    EmailSessionException,
    PostroomError,
    SealException,
    SmtpCommandException,
    UnknownOutcomeException,
)
from postroom_contract.outcome import Failed, Outcome, Partial, Report, Sent, State, Unknown, report_of_error
from postroom_contract.sealing import Keyring
from tests.support.payloads import MAIL_KEYS


class Records(MemoryTracking):
    """Result records in memory, as JSON would give them, of deliveries that the ledger may not know."""

    def __init__(self) -> None:
        super().__init__()
        self.stored: StoredResult | None = None
        self.waited_s: list[float | None] = []

    def put(self, status: str, value: object = None) -> None:
        self.stored = StoredResult(status, json.loads(json.dumps(value)))

    def put_returned(self, outcome: Outcome) -> None:
        self.put("SUCCESS", {"__type__": MARKER, "__value__": outcome.seal(MAIL_KEYS)})

    def put_raised(self, outcome: Outcome) -> None:
        error = outcome.sealed_error(MAIL_KEYS)
        assert error is not None
        self.put(
            "FAILURE", {"exc_type": error.type, "exc_message": error.args, "exc_module": "postroom_contract.errors"}
        )

    def read(self, delivery_id: str) -> StoredResult | None:
        return self.stored

    def wait(self, delivery_id: str, timeout_s: float | None) -> StoredResult | None:
        self.waited_s.append(timeout_s)
        return self.stored


@pytest.fixture
def records() -> Records:
    """Nothing stored yet."""
    return Records()


@pytest.fixture
def receipt(records: Records) -> Receipt:
    """The receipt of the delivery `d1`."""
    return Receipt("d1", records, MAIL_KEYS)


def report(error: PostroomError | None = None) -> Report:
    """A report of one accepted recipient."""
    return Report(accepted=("a@example.com",), error=None if error is None else report_of_error(error))


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("PENDING", State.QUEUED),
        ("RECEIVED", State.QUEUED),
        ("STARTED", State.SENDING),
        ("RETRY", State.RETRYING),
        ("SOMETHING_NEW", State.QUEUED),
    ],
)
def test_states_on_the_way(records: Records, receipt: Receipt, status: str, state: State) -> None:
    """Celery's words, each as ours; there is no outcome yet, and the state is told with the timeout."""
    records.put(status)

    assert receipt.state() is state
    with pytest.raises(TimeoutError, match=f"d1 is {state.value} and not decided yet"):
        receipt.outcome(timeout=0.5)
    with pytest.raises(TimeoutError):
        receipt.result(timeout=0.5)
    assert records.waited_s == [0.5, 0.5]


def test_no_trace(receipt: Receipt) -> None:
    """An id that nobody knows is not found, which is not the same as queued."""
    assert receipt.state() is State.NOT_FOUND
    with pytest.raises(TimeoutError, match="not_found"):
        receipt.outcome(timeout=0)


def test_a_timeout_is_not_mistaken_for_a_lost_redis() -> None:
    """`except TimeoutError` catches an undecided delivery only."""
    assert not issubclass(BrokerUnavailable, TimeoutError)


def test_outcomes_that_were_returned(records: Records, receipt: Receipt) -> None:
    """Sent and partial are values: `result` gives them too."""
    for outcome in (Sent("d1", report=report()), Partial("d1", 1301, report=report(SmtpCommandException()))):
        records.put_returned(outcome)

        assert receipt.state() is outcome.state
        assert receipt.outcome() == receipt.result() == outcome
        assert receipt.outcome().accepted == ["a@example.com"]


@pytest.mark.parametrize("put", ["put_returned", "put_raised"])
@pytest.mark.parametrize(
    ("kind", "error"),
    [
        (Failed, EmailSessionException(101, {"host": "mail.example"})),
        (Unknown, UnknownOutcomeException()),
    ],
)
def test_outcomes_that_mean_an_error(
    records: Records, receipt: Receipt, put: str, kind: type[Outcome], error: PostroomError
) -> None:
    """`outcome` gives the object and `result` raises the typed error with all its facts, however Celery stored it."""
    outcome = kind("d1", error.error_code, report=report(error))
    getattr(records, put)(outcome)

    assert receipt.state() is kind.state
    assert receipt.outcome() == outcome
    with pytest.raises(type(error)) as caught:
        receipt.result()
    assert caught.value.args == error.args
    assert caught.value.message == error.message


def test_without_the_right_keys_the_state_is_known_and_the_rest_is_not(records: Records) -> None:
    """Operators' tools may see id, state and code."""
    records.put_returned(Sent("d1", report=report()))
    receipt = Receipt("d1", records, Keyring({"other": b"o" * 32}))

    assert receipt.state() is State.SENT
    with pytest.raises(SealException) as caught:
        _ = receipt.outcome().accepted
    assert caught.value.reason == "unknown_key"


FOREIGN: list[Any] = [
    {"exc_type": "WorkerLostError", "exc_message": ["canary"], "exc_module": "billiard.exceptions"},
    {"exc_type": "ValueError", "exc_message": "canary", "exc_module": "builtins"},
    {"exc_type": "KeyError", "exc_message": ["canary", "x"], "exc_module": "builtins"},
    {"exc_type": "Odd", "exc_message": ["canary", {"outcome": None}], "exc_module": "builtins"},
]


@pytest.mark.parametrize("value", FOREIGN, ids=lambda value: value["exc_type"])
def test_a_worker_that_failed_otherwise_leaves_the_outcome_unknown(
    records: Records, receipt: Receipt, value: Any
) -> None:
    """Nobody knows at which point it failed, so nobody claims that nothing was sent; Celery's text is not shown."""
    records.put("FAILURE", value)
    outcome = receipt.outcome()

    assert (type(outcome), outcome.code) == (Unknown, 1500)
    with pytest.raises(PostroomError) as caught:
        receipt.result()
    assert (caught.value.error_code, caught.value.reason) == (1500, value["exc_type"])
    assert "canary" not in f"{caught.value} {caught.value.message} {outcome!r}"


@pytest.mark.parametrize(
    "value", [None, "text", 5, [], ["a", {"outcome": {}}], {}, {"__type__": "other", "__value__": 1}]
)
def test_somebody_elses_result_is_not_ours(records: Records, receipt: Receipt, value: object) -> None:
    """The id of another task gives no outcome of a mail."""
    records.put("SUCCESS", value)

    assert type(receipt.outcome()) is Unknown
    error = receipt.outcome().error
    assert error is not None
    assert error.reason == "not_ours"


def test_a_revoked_task(records: Records, receipt: Receipt) -> None:
    """Celery stores a revocation as an exception of its own; nothing was sent."""
    records.put(
        "REVOKED", {"exc_type": "TaskRevokedError", "exc_message": ["revoked"], "exc_module": "celery.exceptions"}
    )

    assert type(receipt.outcome()) is Failed
    with pytest.raises(PostroomError, match="revoked its Celery task"):
        receipt.result()


def test_it_shows_its_id(receipt: Receipt) -> None:
    """The id is all that is needed to ask again."""
    assert (repr(receipt), receipt.id) == ("Receipt(d1)", "d1")
