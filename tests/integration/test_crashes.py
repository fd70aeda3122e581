"""Workers that die and connections that break in the middle of a send: nothing is lost, and a repeat says so."""

from __future__ import annotations

import signal
import time
from typing import Any

from postroom import Sent
from postroom.testing import SmtpServer, at
from postroom_broker import keys
from postroom_broker.ledger.record import record_key
from postroom_worker.app import LEASE_S
from tests.support.post import Post, a_message
from tests.support.returns import returns
from tests.support.valkey import connect
from tests.support.waiting import wait_until


def test_a_message_of_a_killed_worker_is_sent_by_another_and_says_so(post: Post) -> None:
    """`kill -9` after the last byte: another worker takes over when the lease is over, and the outcome warns."""
    with SmtpServer(rules=[at("END_OF_DATA").accepting().stall().times(1)]) as server, post.mailer() as mailer:
        killed = post.worker()
        killed.start()
        receipt = mailer.send(a_message(), post.session(server, use_ssl=False, password=None))
        server.wait_for_messages(1, timeout_s=30)
        killed.kill()
        with post.worker():
            outcome = receipt.outcome(timeout=LEASE_S * 3)

        assert len(server.messages) == 2
    assert isinstance(outcome, Sent)
    assert outcome.possible_duplicate


def test_a_worker_killed_before_the_last_byte_leaves_no_doubt(post: Post) -> None:
    """`kill -9` in the middle of the conversation: another worker sends it, once, and nothing has to be flagged."""
    with SmtpServer(rules=[at("DATA").stall().times(1)]) as server, post.mailer() as mailer:
        killed = post.worker()
        killed.start()
        receipt = mailer.send(a_message(), post.session(server, use_ssl=False, password=None))
        server.wait_for(lambda: server.open_transactions == 1, timeout_s=30)
        killed.kill()
        with post.worker():
            outcome = receipt.outcome(timeout=LEASE_S * 3)

        assert len(server.messages) == 1
    assert isinstance(outcome, Sent)
    assert not outcome.possible_duplicate


def test_a_worker_that_slept_past_its_lease_sends_nothing_twice(post: Post) -> None:
    """Stopped before the last byte and woken when another has sent the mail: it is told no, and lets go."""
    with SmtpServer(rules=[at("RCPT").hold().times(1)]) as server, post.mailer() as mailer:
        with post.worker("--name", "slept@%h") as slept:
            receipt = mailer.send(a_message(), post.session(server, use_ssl=False, password=None))
            server.wait_for(lambda: server.open_transactions == 1, timeout_s=30)
            slept.send(signal.SIGSTOP)
            with post.worker("--name", "awake@%h"):
                outcome = receipt.outcome(timeout=LEASE_S * 3)
                slept.send(signal.SIGCONT)
                server.release()
                wait_until(lambda: "is left alone" in slept.log, 30, "the worker to let go")

        assert len(server.messages) == 1
    assert isinstance(outcome, Sent)
    assert not outcome.possible_duplicate


def test_what_a_worker_knows_counts_although_its_lease_is_gone(post: Post) -> None:
    """Stopped after the last byte, its mail accepted: woken before anybody else has the message, it tells, once."""
    with SmtpServer(rules=[at("END_OF_DATA").hold()]) as server, post.mailer() as mailer:
        # One slot: until it has told, it cannot take the message a second time, which would be a copy with a warning.
        with post.worker("-c", "1") as worker:
            receipt = mailer.send(a_message(), post.session(server, use_ssl=False, password=None))
            with connect(post.redis_url) as client:
                wait_until(lambda: client.hexists(record_key(receipt.id), "committed"), 30, "the commit")
                worker.send(signal.SIGSTOP)
                (lease,) = client.hkeys(keys.UNACKED)

                def lapse() -> int:
                    client.zadd(keys.UNACKED_INDEX, {lease: 1})
                    return returns(post.redis_url).reap(time.monotonic() + 60)

                # A renewal may be on its way to Redis while the worker is being stopped.
                assert wait_until(lapse, 30, "the lease to be taken away") == 1
            server.release()
            worker.send(signal.SIGCONT)
            outcome = receipt.outcome(timeout=30)

        assert len(server.messages) == 1
    assert isinstance(outcome, Sent)
    assert not outcome.possible_duplicate


def test_a_broken_connection_to_redis_sends_nothing_twice(post: Post) -> None:
    """The sends that run when Redis drops the worker's connections go on, and each is sent once."""
    with SmtpServer(rules=[at("END_OF_DATA").hold()]) as server, post.worker(), post.mailer() as mailer:
        session = post.session(server, use_ssl=False, password=None)
        receipts = [mailer.send(a_message(number), session) for number in range(3)]
        server.wait_for(lambda: server.open_transactions == len(receipts), timeout_s=30)
        with connect(post.redis_url) as client:
            break_connections(client)
        server.release()
        outcomes = [receipt.outcome(timeout=LEASE_S * 3) for receipt in receipts]

        assert len(server.messages) == len(receipts)
    assert {type(outcome) for outcome in outcomes} == {Sent}
    assert not any(outcome.possible_duplicate for outcome in outcomes)


def test_a_message_that_waits_for_a_slot_survives_a_broken_connection(post: Post) -> None:
    """After a blip a worker takes more than it has slots for, and a second blip makes Celery forget it: it comes back."""
    with SmtpServer(rules=[at("END_OF_DATA").hold()]) as server, post.worker("-c", "1"), post.mailer() as mailer:
        session = post.session(server, use_ssl=False, password=None)
        receipts = [mailer.send(a_message(number), session) for number in range(2)]
        with connect(post.redis_url) as client:
            # Before its commit is written down, a broken connection would put the first message off.
            wait_until(lambda: client.hexists(record_key(receipts[0].id), "committed"), 30, "the commit")
            break_connections(client)
            wait_until(lambda: int(client.hlen(keys.UNACKED)) == len(receipts), 30, "the second to be taken")
            break_connections(client)
        server.release()
        outcomes = [receipt.outcome(timeout=LEASE_S * 3) for receipt in receipts]

        assert len(server.messages) == len(receipts)
    assert {type(outcome) for outcome in outcomes} == {Sent}
    assert not any(outcome.possible_duplicate for outcome in outcomes)


def break_connections(client: Any) -> None:
    """Break every connection to Redis but this one."""
    for kind in ("normal", "pubsub"):
        client.client_kill_filter(_type=kind, skipme=True)
