"""What the task hands to Celery: sealed outcomes, public errors, retries with sealed progress."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from celery.app.task import Context
from celery.exceptions import Ignore

from postroom.testing import SmtpServer, at
from postroom_broker import keys
from postroom_broker.ledger.claims import Claims
from postroom_broker.ledger.record import record_key
from postroom_contract.delivery import Delivery, Progress
from postroom_contract.errors import ExpiredException, PostroomError, SmtpCommandException
from postroom_contract.names import QUEUE_NORMAL
from postroom_contract.outcome import Sent
from postroom_contract.sealing import Keyring, generate_key
from postroom_worker.async_task import RetryLater
from postroom_worker.delivery import Office
from postroom_worker.smtp import SessionCache
from postroom_worker.tasks import DeliverTask
from tests.support.valkey import connect
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
    assert not any(words in stored for words in ("ann@", "ann is"))
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


class Ledgered:
    """Runs the task as the pool does, on messages under a lease of our transport."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.lease = 0

    def run(
        self,
        delivery: Delivery,
        payload: str | None = None,
        progress: str | None = None,
        *,
        now: Callable[[], datetime] | None = None,
        redelivered: bool = False,
    ) -> tuple[Any, Context]:
        """Run it once under a new lease; return what it returned or raised, and its request."""
        self.lease += 1
        lease = f"lease:a.{self.lease}.1"
        with connect(self.url) as client:
            client.hset(keys.UNACKED, lease, "message")
            client.zadd(keys.UNACKED_INDEX, {lease: time.time()})
        info = {"routing_key": QUEUE_NORMAL, "redelivered": redelivered}
        request = Context(id=delivery.id, delivery_info=info, properties={"delivery_tag": lease})

        async def once() -> Any:
            office, claims = Office(KEYS, PASSWORD_KEYS, SessionCache(), (), 1_000_000), Claims(self.url)
            office = replace(office, now=now or office.now)
            try:
                task = DeliverTask(lambda: office, lambda: claims)
                return await task.arun(request, payload or delivery.seal(KEYS), progress)
            except Exception as raised:  # noqa: BLE001 -- the test looks at it
                return raised
            finally:
                await office.sessions.aclose()
                await claims.aclose()

        return asyncio.run(once()), request


@pytest.fixture
def ledgered(redis_url: str) -> Ledgered:
    """An empty ledger."""
    return Ledgered(redis_url)


def test_what_the_ledger_has_written_celery_does_not_write_again(ledgered: Ledgered) -> None:
    """Outcome, failure and retry: the request says that there is nothing left to store or to publish."""
    with SmtpServer(rules=[at("RCPT").reply("450 4.2.0 busy").times(1)]) as server:
        delivery = a_delivery(server, "ann@example.com")
        later, first = ledgered.run(delivery)
        sent, second = ledgered.run(delivery)

    assert isinstance(later, RetryLater)
    assert later.is_published
    assert isinstance(sent, Sent)
    assert (sent.attempts, first.ignore_result, second.ignore_result) == (2, True, True)


def test_a_message_that_was_sent_already_is_left_alone(ledgered: Ledgered) -> None:
    """Given out again, it finds its end in the ledger, and no server hears of it."""
    with SmtpServer() as server:
        delivery = a_delivery(server, "ann@example.com")
        ledgered.run(delivery)
        again, request = ledgered.run(delivery)

        assert len(server.messages) == 1
    assert isinstance(again, Ignore)
    assert request.ignore_result


def test_a_repeated_message_of_which_nothing_is_known_may_be_a_duplicate(ledgered: Ledgered) -> None:
    """A dead letter that is requeued after its record has expired: the mark on it is all that is left to go by."""
    with SmtpServer() as server:
        known, forgotten = a_delivery(server, "ann@example.com"), a_delivery(server, "bob@example.com")
        with connect(ledgered.url) as client:
            client.hset(record_key(known.id), "state", "queued")
        outcomes = [ledgered.run(delivery, redelivered=True)[0] for delivery in (known, forgotten)]

    assert [outcome.possible_duplicate for outcome in outcomes] == [False, True]


def test_a_dead_letter_keeps_the_progress_that_it_came_with(ledgered: Ledgered) -> None:
    """Requeued when its record is forgotten, it goes to nobody who has got the mail."""
    with SmtpServer() as server:
        delivery = a_delivery(server, "ann@example.com", "bob@example.com")
        progress = Progress(attempts=1, accepted=("ann@example.com",)).seal(delivery.id, KEYS)
        ledgered.run(delivery, delivery.seal(Keyring.parse(generate_key("other"))), progress)
    with connect(ledgered.url) as client:
        (dead,) = client.lrange(keys.DEAD, 0, -1)
    (arguments, *_) = json.loads(json.loads(json.loads(dead)["message"])["body"])

    assert arguments[1] == progress


def test_a_message_that_cannot_be_opened_waits_among_the_dead_letters(ledgered: Ledgered) -> None:
    """A wrong key ring loses no mail: the delivery is held, and nothing is told as failed."""
    with SmtpServer() as server:
        delivery = a_delivery(server, "ann@example.com")
        told, _ = ledgered.run(delivery, payload=delivery.seal(Keyring.parse(generate_key("other"))))
    with connect(ledgered.url) as client:
        state, dead = client.hget(record_key(delivery.id), "state"), client.llen(keys.DEAD)

    assert isinstance(told, Ignore)
    assert (state, dead) == (b"held", 1)


def test_a_bug_loses_no_mail(ledgered: Ledgered, monkeypatch: pytest.MonkeyPatch) -> None:
    """What breaks the worker waits for an operator, with the kind of the mistake and none of its words."""

    def broken(*_: object) -> bytes:
        raise KeyError("ann@example.com")

    monkeypatch.setattr("postroom_worker.delivery.compose", broken)
    with SmtpServer() as server:
        delivery = a_delivery(server, "ann@example.com")
        ledgered.run(delivery)
    with connect(ledgered.url) as client:
        (dead,) = client.lrange(keys.DEAD, 0, -1)

    assert json.loads(dead)["reason"] == "bug"
    assert b"ann@" not in dead


def test_a_worker_whose_clock_is_wrong_lets_no_mail_expire(ledgered: Ledgered) -> None:
    """Redis' clock decides: a worker a day ahead sends what has an hour left, and one a day behind not what is over."""
    ahead, behind = (partial(_shifted, timedelta(days=days)) for days in (1, -1))
    with SmtpServer() as server:
        delivery = a_delivery(server, "ann@example.com")
        in_time = delivery.model_copy(update={"expires_at": datetime.now(UTC) + timedelta(hours=1)})
        too_late = a_delivery(server, "bob@example.com").model_copy(
            update={"expires_at": datetime(2020, 1, 1, tzinfo=UTC)}
        )
        sent, _ = ledgered.run(in_time, now=ahead)
        expired, _ = ledgered.run(too_late, now=behind)

        assert [message.recipients for message in server.messages] == [("ann@example.com",)]
    assert isinstance(sent, Sent)
    assert isinstance(expired, ExpiredException)


def _shifted(by: timedelta) -> datetime:
    return datetime.now(UTC) + by
