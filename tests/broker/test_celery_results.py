"""Outcomes and errors through Celery's real result backend: `AsyncResult` gives what the receipt gives."""

from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery
from kombu.utils.json import dumps, loads

from postroom.receipt import Receipt
from postroom.tracking import Tracking
from postroom_broker.celery_results import MARKER
from postroom_broker.connection import connect
from postroom_broker.ledger.orders import Orders
from postroom_broker.results import Results
from postroom_contract.error_codes import ErrorCode
from postroom_contract.errors import PostroomError, make_error
from postroom_contract.outcome import OUTCOMES, Failed, Outcome, Refusal, Report, report_of_error
from tests.support import valkey as direct
from tests.support.payloads import MAIL_KEYS

# Celery's own backend calls what redis-py has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:Call to deprecated setex:DeprecationWarning")

REPORT = Report(
    message_id="<d1@example.com>",
    accepted=("canary-a@example.com",),
    refused={"canary-b@example.com": Refusal(code=550, enhanced="5.1.1", text="canary-text")},
    attempts=1,
)


@pytest.fixture
def app(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Celery]:
    """A real Celery application with results in Redis, as a producer may have one, and the keys in its environment."""
    monkeypatch.setenv("POSTROOM_KEYS", "m1:bW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW0=")
    celery = Celery("test", broker=redis_url, backend=redis_url, set_as_current=False)
    yield celery
    backend: Any = celery.backend
    backend.result_consumer.stop()
    backend.client.close()
    celery.close()


@pytest.fixture
def receipt(redis_url: str) -> Iterator[Receipt]:
    """The receipt of the delivery `d1`."""
    client = connect(redis_url)
    yield Receipt("d1", Tracking(Orders(client, has_results=True), Results(client)), MAIL_KEYS)
    client.close()


def stored(url: str) -> str:
    """Celery's record, as anyone with access to Redis sees it."""
    with direct.connect(url) as client:
        return bytes(client.get("celery-task-meta-d1") or b"").decode()


@pytest.mark.parametrize("kind", OUTCOMES.values())
def test_an_outcome_returned_by_the_task(app: Celery, receipt: Receipt, redis_url: str, kind: type[Outcome]) -> None:
    """Stored as JSON by Celery's own encoder, it comes back equal through Celery and through the receipt."""
    outcome = kind("d1", 1301, report=REPORT)
    outcome.seal(MAIL_KEYS)
    app.backend.store_result("d1", outcome, "SUCCESS")
    through_celery = app.AsyncResult("d1").get(timeout=5)

    assert type(through_celery) is kind
    assert through_celery == outcome == receipt.outcome(timeout=0)
    assert through_celery.accepted == ["canary-a@example.com"]
    assert "canary" not in stored(redis_url)


@pytest.mark.parametrize("code", ErrorCode)
def test_an_error_raised_by_the_task(app: Celery, receipt: Receipt, redis_url: str, code: ErrorCode) -> None:
    """Every error comes back as its own type with code and facts, and tells all where the keys are."""
    error = make_error(code, {"host": "canary-host", "text": "canary-text", "smtp_code": 550, "reason": "refused"})
    raised = Failed("d1", int(code), report=Report(error=report_of_error(error))).sealed_error(MAIL_KEYS)
    assert raised is not None
    try:
        raise raised
    except PostroomError as caught:
        app.backend.mark_as_failure("d1", caught, traceback="Traceback")

    with pytest.raises(type(error)) as through_celery:
        app.AsyncResult("d1").get(timeout=5)
    with pytest.raises(type(error)) as through_receipt:
        receipt.result(timeout=0)
    for again in (through_celery.value, through_receipt.value):
        assert isinstance(again, PostroomError)
        assert (again.code, again.reason, again.smtp_code, again.as_dict()) == (code, "refused", 550, error.as_dict())
        assert "canary" not in f"{again} {again!r}"
    assert through_celery.value.args == raised.args
    assert "canary" not in stored(redis_url)


def test_an_unsealed_outcome_is_not_stored() -> None:
    """A worker that forgot to seal fails, and nothing stands in Redis in the clear."""
    with pytest.raises(ValueError, match="sealed only"):
        dumps(Failed("d1", 1, report=REPORT))


def test_the_stored_form_never_changes() -> None:
    """Results of every released version are read by the marker."""
    outcome = Failed("d1", 1301, report=REPORT)
    record = outcome.seal(MAIL_KEYS)

    assert MARKER == "postroom.Outcome"
    assert dumps(outcome) == dumps({"__type__": "postroom.Outcome", "__value__": record})
    assert loads(dumps([outcome])) == [outcome]
