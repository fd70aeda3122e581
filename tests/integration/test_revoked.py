"""Deliveries whose Celery task is revoked or limited: nothing is lost by it, and no outcome contradicts the mail."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from celery import Celery

from postroom import Cancelled, Partial, Sent
from postroom.testing import SmtpServer, at
from postroom_broker import keys
from postroom_contract.outcome import State
from tests.support.celery_worker import CeleryWorker
from tests.support.post import Post, a_message
from tests.support.valkey import connect
from tests.support.waiting import wait_until


@pytest.fixture
def celery(post: Post) -> Iterator[Celery]:
    """A program that controls the workers."""
    with Celery(broker=post.redis_url, backend=post.redis_url, set_as_current=False) as app:
        yield app


def test_a_delivery_revoked_before_its_turn_is_cancelled(post: Post, celery: Celery) -> None:
    """Its message is taken, nobody is sent to, and the ledger says so too."""
    with SmtpServer(rules=[at("END_OF_DATA").hold().times(1)]) as server, post.mailer() as mailer:
        session = post.session(server, use_ssl=False, password=None)
        with post.worker("-c", "1") as worker:
            first = mailer.send(a_message(), session)
            server.wait_for(lambda: server.open_transactions == 1, timeout_s=30)
            revoked = mailer.send(a_message(1), session)
            celery.control.revoke(revoked.id)
            wait_until(lambda: "flagged as revoked" in worker.log, 30, "the worker to hear of it")
            server.release()
            assert isinstance(first.outcome(timeout=30), Sent)
            wait_until(lambda: revoked.state() is State.CANCELLED, 30, "the end")

        assert isinstance(revoked.outcome(timeout=30), Cancelled)
        assert len(server.messages) == 1


def test_a_retry_that_is_revoked_tells_who_got_the_mail(post: Post, celery: Celery) -> None:
    """Celery says at once that it is revoked; the receipt waits for what the ledger knows."""
    rules = [at("RCPT").matching("bob").reply("450 4.2.0 come again in 2 seconds")]
    with SmtpServer(rules=rules) as server, post.worker(), post.mailer() as mailer:
        message = a_message(to=["ann@example.com", "bob@example.com"])
        receipt = mailer.send(message, post.session(server, use_ssl=False, password=None))
        wait_until(lambda: receipt.state() is State.RETRYING, 30, "the retry")
        celery.control.revoke(receipt.id)
        outcome = receipt.outcome(timeout=30)

    assert isinstance(outcome, Partial)
    assert outcome.accepted == ["ann@example.com"]


def test_a_delivery_that_is_being_sent_cannot_be_revoked(post: Post, celery: Celery) -> None:
    """Terminated after its last octet it would be told as failed: it goes on, and tells what the reply was."""
    with SmtpServer(rules=[at("END_OF_DATA").hold()]) as server, post.worker() as worker, post.mailer() as mailer:
        receipt = mailer.send(a_message(), post.session(server, use_ssl=False, password=None))
        server.wait_for(lambda: server.open_transactions == 1, timeout_s=30)
        celery.control.revoke(receipt.id, terminate=True)
        wait_until(lambda: "was revoked too late" in worker.log, 30, "the worker to hear of it")
        server.release()

        assert isinstance(receipt.outcome(timeout=30), Sent)
    with connect(post.redis_url) as client:
        assert client.hlen(keys.UNACKED) == 0


@pytest.mark.parametrize("limit", ["--soft-time-limit", "--time-limit"])
def test_a_time_limit_drops_no_mail(post: Post, limit: str) -> None:
    """A server that takes its time is waited for as long as its own timeouts allow."""
    with SmtpServer(rules=[at("MAIL").delay(2).times(1)]) as server, post.mailer() as mailer:
        worker = CeleryWorker("postroom_worker", post.folder / "limited.log", post.environment, (limit, "1"))
        with worker:
            receipt = mailer.send(a_message(), post.session(server, use_ssl=False, password=None))
            outcome = receipt.outcome(timeout=30)

        assert len(server.messages) == 1
    assert isinstance(outcome, Sent)
