"""SIGTERM in the middle of many sends: each is either sent or still queued, and none is both."""

from __future__ import annotations

import signal

from postroom import State
from postroom.testing import SmtpServer, at
from tests.support.post import Post, a_message
from tests.support.waiting import wait_until

MESSAGES = 50
IN_FLIGHT = 10


def test_sigterm_in_the_middle_loses_nothing_and_doubles_nothing(post: Post) -> None:
    """The worker ends by itself within its grace time; a second worker sends exactly what was left."""
    with SmtpServer(rules=[at("END_OF_DATA").delay(0.2)]) as server:
        session = post.session(server, use_ssl=False, password=None)
        with post.mailer() as mailer:
            receipts = [mailer.send(a_message(number), session) for number in range(MESSAGES)]
            with post.worker("-c", str(IN_FLIGHT)) as worker:
                server.wait_for_messages(IN_FLIGHT, timeout_s=30)
                worker.send(signal.SIGTERM)
                assert worker.wait() == 0
            by_first = [recipient for message in server.messages for recipient in message.recipients]
            states = [receipt.state() for receipt in receipts]

            assert IN_FLIGHT <= len(by_first) < MESSAGES
            assert states.count(State.SENT) == len(by_first)
            assert states.count(State.QUEUED) == MESSAGES - len(by_first)

            with post.worker():
                outcomes = [receipt.outcome(timeout=60).state for receipt in receipts]
        everybody = [recipient for message in server.messages for recipient in message.recipients]

    assert set(outcomes) == {State.SENT}
    assert sorted(everybody) == sorted(f"ann{number}@example.com" for number in range(MESSAGES))


def test_what_was_not_begun_goes_to_another_worker_at_once(post: Post) -> None:
    """One message is stuck with its server; those that waited for a session are sent by the next worker meanwhile."""
    with SmtpServer(rules=[at("END_OF_DATA").hold().times(1)]) as server, post.mailer() as mailer:
        session = post.session(server, use_ssl=False, password=None)
        variables = {"POSTROOM_MOST_CONNECTIONS": "1"}
        with post.worker("--name", "ends@%h", **variables) as ends:
            receipts = [mailer.send(a_message(number), session) for number in range(5)]
            server.wait_for(lambda: server.open_transactions == 1, timeout_s=30)
            wait_until(lambda: [receipt.state() for receipt in receipts] == [State.SENDING] * 5, 30, "all to be taken")
            ends.send(signal.SIGTERM)
            wait_until(
                lambda: [receipt.state() for receipt in receipts].count(State.QUEUED) == 4, 10, "four to be back"
            )
            waiting = [receipt for receipt in receipts if receipt.state() is State.QUEUED]
            with post.worker("--name", "goes-on@%h", **variables):
                outcomes = [receipt.outcome(timeout=30) for receipt in waiting]
                server.release()
                assert ends.wait() == 0

        assert len(server.messages) == len(receipts)
        assert {receipt.state() for receipt in receipts} == {State.SENT}
    assert [outcome.state for outcome in outcomes] == [State.SENT] * 4
    assert not any(outcome.possible_duplicate for outcome in outcomes)
