"""Receipts: Celery's records as states and outcomes, also those that are none of ours."""

import json
import uuid
from typing import Any

import pytest

from postroom.receipt import Receipt
from postroom.testing.memory import MemoryTracking
from postroom_broker.celery_results import MARKER
from postroom_broker.ledger.orders import Answer
from postroom_broker.ledger.record import Record
from postroom_broker.results import StoredResult
from postroom_contract.delivery import Progress
from postroom_contract.errors import (
    ArgumentException,
    BrokerUnavailable,
    EmailSessionException,
    PostroomError,
    SealException,
    SmtpCommandException,
    UnknownOutcomeException,
)
from postroom_contract.outcome import (
    Cancelled,
    Expired,
    Failed,
    Outcome,
    Partial,
    Report,
    Sent,
    State,
    Unknown,
    report_of_error,
)
from postroom_contract.sealing import Keyring
from tests.support.payloads import MAIL_KEYS


class Records(MemoryTracking):
    """Result records in memory, as JSON would give them, of deliveries that the ledger may not know."""

    def __init__(self) -> None:
        super().__init__()
        self.stored: StoredResult | None = None
        self.waited_s: list[float | None] = []
        self.learns_meanwhile: Progress | None = None
        self.ends_meanwhile: State | None = None

    def know(self, state: State, known: Progress | None = None, code: int | None = None, reason: str = "") -> None:
        """Let the ledger know the delivery."""
        self._records["d1"] = Record(state, None if known is None else known.seal("d1", MAIL_KEYS), code, reason)

    def called_back(self, receipt: Receipt) -> Outcome:
        """What was stored when it was called back."""
        self.stored = self._results["d1"]
        return receipt.outcome()

    def call_back(
        self, delivery_id: str, state: State, result: str, progress: str | None, code: int | None = None
    ) -> Answer:
        """As the ledger does, a worker being quicker than the caller."""
        if self.ends_meanwhile is not None:
            self.know(self.ends_meanwhile)
        elif self.learns_meanwhile is not None:
            self.know(State.RETRYING, self.learns_meanwhile)
            self.learns_meanwhile = None
            return Answer.CHANGED
        return super().call_back(delivery_id, state, result, progress, code)

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
    with pytest.raises(TimeoutError, match="there is no trace of delivery d1; outcomes are kept for a day"):
        receipt.outcome(timeout=0)


@pytest.mark.parametrize("given", [None, 17, uuid.UUID(int=0)])
def test_an_id_that_is_no_text(given: Any) -> None:
    """It is refused at once, and not as a Redis that is away."""
    with pytest.raises(
        TypeError, match=f"a receipt's id is text, as `receipt.id` has it, and not a {type(given).__name__}"
    ):
        Receipt(given, MemoryTracking(), MAIL_KEYS)


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


# ---- what the ledger knows


def progress(**known: Any) -> Progress:
    """What attempts so far achieved."""
    return Progress(attempts=1, **known)


REFUSED = {"code": 1301, "facts": {"command": "RCPT", "smtp_code": 550}}
CALLED_BACK: list[tuple[str, Progress | None, type[Outcome]]] = [
    ("nothing was tried", None, Cancelled),
    ("nobody was reached", progress(), Cancelled),
    ("some have it", progress(accepted=("a@example.com",)), Partial),
    ("somebody may have it", progress(in_doubt=("a@example.com",)), Unknown),
    ("the server refused some before", progress(error=REFUSED), Failed),
]


@pytest.mark.parametrize(("known", "kind"), [row[1:] for row in CALLED_BACK], ids=[row[0] for row in CALLED_BACK])
def test_calling_back_tells_what_was_sent_before(
    records: Records, receipt: Receipt, known: Progress | None, kind: type[Outcome]
) -> None:
    """True, and the outcome says what is known: cancelled only where nobody can have got it."""
    records.know(State.RETRYING, known)

    assert receipt.cancel()
    assert receipt.state() is kind.state
    assert type(records.called_back(receipt)) is kind
    if known is not None:
        assert records.called_back(receipt).report.accepted == known.accepted
        assert records.called_back(receipt).attempts == 1


def test_calling_back_looks_again_when_something_was_learned_meanwhile(records: Records, receipt: Receipt) -> None:
    """The outcome is made of what is known when it is written, and not of what was read before."""
    records.know(State.RETRYING, progress())
    records.learns_meanwhile = progress(accepted=("a@example.com",))

    assert receipt.cancel()
    assert type(records.called_back(receipt)) is Partial


@pytest.mark.parametrize("ended", [Sent, Partial, Failed, Unknown, Expired])
def test_calling_back_what_ends_meanwhile_is_too_late(records: Records, receipt: Receipt, ended: type[Outcome]) -> None:
    """Another had the last word: false, and its outcome stays."""
    records.know(State.SENDING)
    records.ends_meanwhile = ended.state

    assert not receipt.cancel()
    assert receipt.state() is ended.state


def test_calling_back_what_somebody_else_called_back_meanwhile(records: Records, receipt: Receipt) -> None:
    """Both are told that nothing is sent."""
    records.know(State.QUEUED)
    records.ends_meanwhile = State.CANCELLED

    assert receipt.cancel()


def test_without_the_keys_nothing_is_called_back(records: Records) -> None:
    """Whoever cannot read what was achieved cannot say what it ends as."""
    records.know(State.RETRYING, progress())
    receipt = Receipt("d1", records, Keyring({"other": b"o" * 32}))
    with pytest.raises(SealException):
        receipt.cancel()

    assert receipt.state() is State.RETRYING


def test_why_a_delivery_is_put_off_or_held(records: Records, receipt: Receipt) -> None:
    """In public words, while it is; a held one is not tried again by itself."""
    for state, is_retried in ((State.RETRYING, True), (State.HELD, False)):
        records.know(state, code=1303, reason="disconnected")
        why = receipt.why()

        assert isinstance(why, UnknownOutcomeException)
        assert (why.reason, why.retryable) == ("disconnected", is_retried)
    for state in (State.SENDING, State.CANCELLED):
        records.know(state, code=1303, reason="disconnected")
        assert receipt.why() is None
    records.know(State.RETRYING)
    assert receipt.why() is None
    assert Receipt("nobody", records, MAIL_KEYS).why() is None


def test_the_ledger_knows_more_than_celery_until_there_is_an_outcome(records: Records, receipt: Receipt) -> None:
    """Its states win over Celery's words; a stored outcome wins over a record that is not ended yet."""
    records.put("STARTED")
    for state in (State.SCHEDULED, State.QUEUED, State.SENDING, State.RETRYING, State.HELD):
        records.know(state)
        assert receipt.state() is state
    records.put_returned(Sent("d1", report=report()))
    assert receipt.state() is State.SENT


def test_a_time_to_move_to_is_checked_first(records: Records, receipt: Receipt) -> None:
    """Naive or unreadable, it is refused whatever the delivery does."""
    with pytest.raises(ArgumentException, match="needs an offset"):
        receipt.reschedule("2030-03-01T09:00:00")
    assert not receipt.reschedule("2030-03-01T09:00:00Z")


def test_it_shows_its_id(receipt: Receipt) -> None:
    """The id is all that is needed to ask again."""
    assert (repr(receipt), receipt.id) == ("Receipt(d1)", "d1")
