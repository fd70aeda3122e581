"""What the task hands to Celery: sealed outcomes, public errors, retries with sealed progress."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from celery.app.task import Context

from postroom.testing import SmtpServer, at
from postroom_broker.ledger.claims import Claims
from postroom_contract.delivery import Delivery, Progress
from postroom_contract.errors import PostroomError, SmtpCommandException
from postroom_contract.outcome import Sent
from postroom_worker.async_task import RetryLater
from postroom_worker.delivery import Office
from postroom_worker.smtp import SessionCache
from postroom_worker.tasks import DeliverTask
from tests.worker.test_delivery import KEYS, PASSWORD_KEYS, a_delivery


def no_ledger() -> Claims:
    """What a message without a lease never asks for."""
    raise AssertionError("there is no ledger here")


def run(delivery: Delivery, payload: str | None = None, **delivery_info: object) -> Any:
    """Run the task once, as the pool does."""

    async def once() -> Any:
        office = Office(KEYS, PASSWORD_KEYS, SessionCache(), (), 1_000_000)
        try:
            request = Context(id=delivery.id, delivery_info=delivery_info)
            return await DeliverTask(lambda: office, no_ledger).arun(request, payload or delivery.seal(KEYS))
        finally:
            await office.sessions.aclose()

    return asyncio.run(once())


def test_an_outcome_is_returned_sealed() -> None:
    """What Celery stores of a success is id, state, code and a sealed rest."""
    with SmtpServer() as server:
        delivery = a_delivery(server, "ann@example.com")
        outcome = run(delivery)

    assert isinstance(outcome, Sent)
    assert set(outcome.record) == {"v", "id", "state", "code", "sealed"}
    assert "ann@" not in repr(outcome.record)


def test_a_failure_is_raised_with_public_facts_and_the_rest_sealed() -> None:
    """The error Celery stores names nobody; with the keys it tells everything."""
    rules = [at("RCPT").reply("550 5.1.1 ann is unknown")]
    with SmtpServer(rules=rules) as server, pytest.raises(SmtpCommandException) as caught:
        run(a_delivery(server, "ann@example.com"))

    stored = repr(caught.value.args) + str(caught.value)
    assert "ann" not in stored
    assert (caught.value.smtp_code, caught.value.enhanced_code) == (550, "5.1.1")
    assert set(caught.value.facts) <= {"smtp_code", "enhanced_code", "retryable", "outcome"}


def test_a_retry_carries_the_payload_and_sealed_progress() -> None:
    """The next attempt gets the same payload, and what this one learned."""
    with SmtpServer(rules=[at("RCPT").reply("450 4.2.0 ann is busy")]) as server:
        delivery = a_delivery(server, "ann@example.com")
        payload = delivery.seal(KEYS)
        later = run(delivery, payload)

    assert isinstance(later, RetryLater)
    assert later.args is not None
    assert later.args[0] == payload
    assert Progress.open(later.args[1], delivery.id, KEYS).attempts == 1
    assert "ann" not in repr(later.error.args)


def test_a_bug_reaches_celery_without_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever breaks inside, its text might quote the mail."""

    def broken(*_: object) -> bytes:
        raise KeyError("ann@example.com")

    monkeypatch.setattr("postroom_worker.delivery.compose", broken)
    with SmtpServer() as server, pytest.raises(PostroomError) as caught:
        run(a_delivery(server, "ann@example.com"))

    assert (caught.value.error_code, caught.value.reason) == (1500, "KeyError")
    assert caught.value.__cause__ is None
    assert "ann" not in str(caught.value)


def test_a_redelivered_message_is_told_as_a_possible_duplicate() -> None:
    """Celery's mark on the message reaches the outcome."""
    with SmtpServer() as server:
        first = run(a_delivery(server, "ann@example.com"), redelivered=False)
        second = run(a_delivery(server, "ann@example.com"), redelivered=True)

    assert (first.possible_duplicate, second.possible_duplicate) == (False, True)
