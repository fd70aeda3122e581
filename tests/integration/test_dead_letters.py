"""A message that costs its workers their lives: it ends among the dead, and goes out once an operator sends it again."""

from __future__ import annotations

import json

from postroom import Sent
from postroom.testing import SmtpServer, at
from tests.support.post import Post, a_message
from tests.support.short_patience import DELIVERY_LIMIT, STARTER
from tests.support.valkey import connect
from tests.support.waiting import wait_until


def test_a_message_that_kills_its_workers_is_requeued_by_hand_and_sent(post: Post) -> None:
    """Dead after so many lost workers, listed with its reason, requeued, sent, and told as it is."""
    stall = at("END_OF_DATA").accepting().stall().times(DELIVERY_LIMIT)
    with SmtpServer(rules=[stall]) as server, post.mailer() as mailer:
        receipt = mailer.send(a_message(), post.session(server, use_ssl=False, password=None))
        for lost in range(1, DELIVERY_LIMIT + 1):
            worker = post.worker(starter=STARTER)
            worker.start()
            server.wait_for_messages(lost, timeout_s=60)
            worker.kill()
        with post.worker(starter=STARTER), connect(post.redis_url) as client:
            wait_until(lambda: client.llen("postroom.dead"), 60, "the message to be dead")
            listed = post.run("dead", "list")
            shown = post.run("dead", "show", receipt.id)
            requeued = post.run("dead", "requeue", receipt.id)
            outcome = receipt.outcome(timeout=60)

        assert len(server.messages) == DELIVERY_LIMIT + 1
    assert (listed.answer["id"], listed.answer["deliveries"]) == (receipt.id, DELIVERY_LIMIT)
    assert shown.answer["reason"] == "too_many_deliveries"
    assert "requeue it" in shown.answer["advice"]
    assert json.loads(requeued.output) == {"id": receipt.id, "handle": listed.answer["handle"], "result": "requeued"}
    assert isinstance(outcome, Sent)
    assert outcome.possible_duplicate
    assert post.run("dead", "list").output == ""
