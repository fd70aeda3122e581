"""The log of a running worker as a machine reads it: each line an object, one event for each delivery."""

from __future__ import annotations

import json
from typing import Any

from postroom import Failed, Sent
from postroom.testing import SmtpServer, at, free_port
from tests.support.post import Post, a_message
from tests.support.waiting import wait_until


def test_every_line_is_json_and_each_delivery_is_one_event_without_a_name(post: Post) -> None:
    """From Celery's first line on: standard error is no terminal here. Only its answer to a signal is plain text."""
    rules = [at("RCPT").matching("canarynobody").reply("550 5.1.1 canaryreply")]
    port = str(free_port())
    with SmtpServer(rules=rules) as server, post.mailer() as mailer:
        session = post.session(server, use_ssl=False, password=None)
        with post.worker(POSTROOM_LOG_FORMAT="auto", POSTROOM_METRICS_PORT=port) as worker:
            receipts = [mailer.send(a_message(to=[f"{name}@example.com"]), session) for name in ("ann", "canarynobody")]
            outcomes = [receipt.outcome(timeout=60) for receipt in receipts]
            wait_until(lambda: worker.log.count("attempt_ended") == 2, 30, "both events")
    log, _, goodbye = worker.log.partition("\nworker: Warm shutdown")
    lines: list[dict[str, Any]] = [json.loads(line) for line in (log + goodbye.partition("\n")[2]).splitlines() if line]
    events = {line["id"]: line for line in lines if line.get("event") == "attempt_ended"}

    assert [type(outcome) for outcome in outcomes] == [Sent, Failed]
    assert all({"time", "level", "logger"} <= line.keys() for line in lines)
    assert any("celery" in line["logger"] for line in lines)
    assert events.keys() == {receipt.id for receipt in receipts}
    sent, failed = (events[receipt.id] for receipt in receipts)
    assert (sent["state"], sent["accepted"]) == ("sent", 1)
    assert (failed["state"], failed["code"], failed["smtp_code"]) == ("failed", 1301, 550)
    assert {"envelope", "reply"} <= sent["smtp_s"].keys()
    assert sent["waited_s"] >= 0
    assert "canary" not in worker.log
    assert "example.com" not in worker.log
