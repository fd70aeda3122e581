"""SIGTERM in the middle of many sends: each is either sent or still queued, and none is both."""

from __future__ import annotations

import signal

from postroom import State
from postroom.testing import SmtpServer, at
from tests.support.post import Post, a_message

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
