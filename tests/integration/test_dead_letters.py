"""A message that costs its workers their lives: it ends among the dead, and goes out once an operator sends it again."""

from __future__ import annotations

import json
from functools import partial

from postroom import Sent, State
from postroom.testing import SmtpServer, at
from tests.support.post import Post, a_message
from tests.support.short_patience import DELIVERY_LIMIT, STARTER
from tests.support.valkey import connect
from tests.support.waiting import wait_until


def test_a_message_that_kills_its_workers_is_requeued_by_hand_and_sent(post: Post) -> None:
    """Dead after so many lost workers, listed with its reason, requeued, sent, and told as it is."""
    stall = at("DATA").stall().times(DELIVERY_LIMIT)
    with SmtpServer(rules=[stall]) as server, post.mailer() as mailer:
        receipt = mailer.send(a_message(), post.session(server, use_ssl=False, password=None))
        for lost in range(1, DELIVERY_LIMIT + 1):
            worker = post.worker(starter=STARTER)
            worker.start()
            server.wait_for(partial(_has_begun, server, lost), timeout_s=60)
            worker.kill()
        with post.worker(starter=STARTER), connect(post.redis_url) as client:
            wait_until(lambda: int(client.llen("postroom.dead")), 60, "the message to be dead")
            waiting = receipt.state()
            listed = post.run("dead", "list")
            shown = post.run("dead", "show", receipt.id)
            requeued = post.run("dead", "requeue", receipt.id)
            outcome = receipt.outcome(timeout=60)

        assert len(server.messages) == 1
    assert waiting is State.HELD
    assert (listed.answer["id"], listed.answer["deliveries"]) == (receipt.id, DELIVERY_LIMIT)
    assert shown.answer["reason"] == "too_many_deliveries"
    assert "requeue it" in shown.answer["advice"]
    assert json.loads(requeued.output) == {"id": receipt.id, "handle": listed.answer["handle"], "result": "requeued"}
    assert isinstance(outcome, Sent)
    assert not outcome.possible_duplicate  # the ledger knows that the last byte never left
    assert post.run("dead", "list").output == ""


def _has_begun(server: SmtpServer, times: int) -> bool:
    return len(server.connections) == times and server.open_transactions == 1
