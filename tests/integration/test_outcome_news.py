"""News of outcomes: a webhook or a host's own task is told of every end, at least once, and of nothing personal."""

from __future__ import annotations

import json
import re
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from postroom import Mailer, State
from postroom.testing import SmtpServer, at, free_port
from postroom.webhooks import UntrustedWebhook, verify
from postroom_broker import keys
from postroom_broker.dead_letters import DeadLetters
from postroom_contract.names import QUEUE_NEWS
from postroom_contract.sealing import generate_key
from postroom_contract.webhook_signature import generate_secret
from tests.support.celery_worker import CeleryWorker
from tests.support.post import ROOT, Post, a_message
from tests.support.receiver import Receiver
from tests.support.valkey import ValkeyServer, connect
from tests.support.waiting import wait_until

SECRET = generate_secret()
TIMEOUT_S = 40.0
TOKEN = "?token=canarytoken"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A webhook's receiver."""
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def shop(post: Post, receiver: Receiver) -> Post:
    """A post whose mails tell that receiver of their ends."""
    post.more["POSTROOM_ON_OUTCOME"] = receiver.url + TOKEN
    post.more["POSTROOM_WEBHOOK_SECRETS"] = SECRET
    return post


@pytest.fixture
def server() -> Iterator[SmtpServer]:
    """A mail server that refuses some."""
    refuse = at("RCPT").matching("refused").reply("550 5.1.1 canaryreply")
    with SmtpServer(rules=[refuse, at("END_OF_DATA").matching("doubt").accept_then_drop()]) as server:
        yield server


def session(post: Post, server: SmtpServer | int) -> Any:
    """A session in the clear."""
    return post.session(server, use_ssl=False, password=None)


def told(receiver: Receiver) -> list[dict[str, Any]]:
    """What each request said, having checked that it may be trusted."""
    return [verify(request.headers, request.body, SECRET).as_dict() for request in list(receiver.requests)]


def test_every_end_is_told_to_the_webhook(shop: Post, server: SmtpServer, receiver: Receiver) -> None:
    """By state and code; nothing else is in the request, and nobody else could have signed it."""
    with shop.worker(), shop.mailer() as mailer:
        place = session(shop, server)
        soon = datetime.now(UTC) + timedelta(hours=1)
        receipts = {
            "sent": mailer.send(a_message(to=["canaryann@example.com"], subject="canary", body="canary"), place),
            "partial": mailer.send(a_message(to=["ann@example.com", "refused@example.com"]), place),
            "failed": mailer.send(a_message(to=["refused@example.com"]), place),
            "unknown": mailer.send(a_message(to=["doubt@example.com"]), place),
            "cancelled": mailer.send(a_message(), place, send_at=soon),
            "expired": mailer.send(
                a_message(), session(shop, free_port()), expires_at=datetime.now(UTC) + timedelta(seconds=1)
            ),
            "silent": mailer.send(a_message(), place, on_outcome="none"),
        }
        assert receipts["cancelled"].cancel()
        requests = receiver.wait_for(6)
        receipts["silent"].outcome(timeout=TIMEOUT_S)
        wait_until(lambda: not waiting_news(shop.redis_url), TIMEOUT_S, "no news to wait")

    codes = {"sent": None, "partial": 1301, "failed": 1301, "unknown": 1303, "cancelled": 1304, "expired": 1305}
    assert sorted(told(receiver), key=lambda news: str(news["state"])) == [
        {"id": receipts[state].id, "state": state, "code": codes[state]} for state in sorted(codes)
    ]
    assert all(request.path == f"/hooks/mail{TOKEN}" for request in requests)
    assert "canary" not in str([(request.headers, request.body) for request in requests])
    with pytest.raises(UntrustedWebhook, match="by none of the secrets"):
        verify(requests[0].headers, requests[0].body, generate_secret())


def waiting_news(url: str) -> int:
    """How much news waits or is being told."""
    with connect(url) as client:
        return int(client.llen(QUEUE_NEWS)) + int(client.zcard(keys.UNACKED_INDEX)) + int(client.zcard(keys.DELAYED))


def test_a_receiver_that_fails_is_told_until_it_takes_it(shop: Post, server: SmtpServer, receiver: Receiver) -> None:
    """Each time by the same id, so that it can tell a repetition; a wait that it names is respected."""
    receiver.script = lambda number: (503, {"retry-after": "6"}) if number == 1 else 204
    with shop.worker() as worker, shop.mailer() as mailer:
        receipt = mailer.send(a_message(), session(shop, server))
        requests = receiver.wait_for(2)
        wait_until(lambda: not waiting_news(shop.redis_url), TIMEOUT_S, "it to be over")
        log = worker.log

    assert [news["id"] for news in told(receiver)] == [receipt.id] * 2
    assert len({request.headers["webhook-id"] for request in requests}) == 1
    assert "is put_off: status=503 reason=status_503 attempts=1 after_s=6.000" in log
    assert "canarytoken" not in log


def test_a_receiver_that_is_gone_leaves_a_dead_letter(shop: Post, server: SmtpServer, receiver: Receiver) -> None:
    """Nothing is lost: requeued, it is told when the receiver is back."""
    receiver.script = lambda number: 410 if number == 1 else 204
    with shop.worker(), shop.mailer() as mailer, connect(shop.redis_url) as client:
        sent = mailer.send(a_message(), session(shop, server))
        wait_until(lambda: client.llen(keys.DEAD) == 1, TIMEOUT_S, "a dead letter")
        letters = DeadLetters(client)
        [letter] = letters.find([sent.id])[sent.id]
        assert (letter.reason, letter.task, letter.queue) == ("untold", "postroom.tell", QUEUE_NEWS)
        assert letters.requeue(letter)
        receiver.wait_for(2)


def test_without_a_secret_news_waits_for_it(shop: Post, server: SmtpServer, receiver: Receiver) -> None:
    """The worker says what is lacking, and a worker that has it tells."""
    secret = shop.more.pop("POSTROOM_WEBHOOK_SECRETS")
    with shop.worker() as worker, shop.mailer() as mailer:
        mailer.send(a_message(), session(shop, server)).outcome(timeout=TIMEOUT_S)
        wait_until(lambda: "reason=no_secret" in worker.log, TIMEOUT_S, "the worker to say it")
    assert receiver.requests == []
    with connect(shop.redis_url) as client:
        [(name, _)] = client.zrange(keys.DELAYED, 0, -1, withscores=True)
        client.zadd(keys.DELAYED, {name: 0})
    shop.more["POSTROOM_WEBHOOK_SECRETS"] = secret
    with shop.worker():
        receiver.wait_for(1)


def test_a_dead_webhook_keeps_no_mail(shop: Post, server: SmtpServer, receiver: Receiver) -> None:
    """Its calls hang, and two hundred mails are sent meanwhile by a worker that has ten slots."""
    receiver.may_answer.clear()
    with shop.worker("-c", "10"), shop.mailer() as mailer:
        for number in range(200):
            mailer.send(a_message(number), session(shop, server))
        server.wait_for_messages(200, timeout_s=TIMEOUT_S)
        assert len(receiver.requests) <= 2 * 3  # a fifth of ten slots; each gives up after ten seconds
        receiver.may_answer.set()


def test_a_killed_worker_tells_all_the_same(shop: Post, server: SmtpServer, receiver: Receiver) -> None:
    """The news was written in the same step as the end: whoever comes next tells it, perhaps once more."""
    receiver.may_answer.clear()
    with shop.worker() as first, shop.mailer() as mailer:
        receipts = [mailer.send(a_message(number), session(shop, server)) for number in range(20)]
        for receipt in receipts:
            receipt.outcome(timeout=TIMEOUT_S)
        receiver.wait_for(1)
        first.send(signal.SIGKILL)
        first.wait()
    receiver.may_answer.set()
    receiver.requests.clear()
    with shop.worker():
        wait_until(lambda: {news["id"] for news in told(receiver)} == {receipt.id for receipt in receipts}, 90, "all")
        wait_until(lambda: not waiting_news(shop.redis_url), TIMEOUT_S, "no news to wait")
    assert max(Counter(news["id"] for news in told(receiver)).values()) <= 2


@contextmanager
def host(broker_url: str, folder: Path) -> Iterator[Path]:
    """A host's own worker, and the notebook of its task."""
    notebook = folder / "notebook.jsonl"
    notebook.touch()
    environment = {"HOST_BROKER_URL": broker_url, "HOST_NOTEBOOK": str(notebook)}
    with CeleryWorker("tests.support.host_app", folder / "host.log", environment, ("--pool", "solo")):
        yield notebook


@pytest.mark.parametrize("where", ["the same Redis", "another Redis"])
def test_a_hosts_own_task_is_told(
    post: Post, server: SmtpServer, valkey_program: Path, tmp_path: Path, where: str
) -> None:
    """By name, with keywords; the host's program knows nothing of Postroom, and its variables change nothing."""
    other = tmp_path / "other"
    other.mkdir()
    post.more["POSTROOM_ON_OUTCOME"] = "celery:shop.tasks.mail_ended?queue=host"
    post.more["CELERY_BROKER_URL"] = "redis://127.0.0.1:1/0"
    with ValkeyServer(valkey_program, other) as redis:
        broker_url = post.redis_url if where == "the same Redis" else redis.url
        post.more["POSTROOM_ON_OUTCOME_BROKER_URL"] = broker_url
        with host(broker_url, tmp_path) as notebook, post.worker(), post.mailer() as mailer:
            sent = mailer.send(a_message(), session(post, server))
            failed = mailer.send(a_message(to=["refused@example.com"]), session(post, server))
            wait_until(lambda: len(notebook.read_text().splitlines()) == 2, TIMEOUT_S, "the host to be told twice")
            notes = [json.loads(line) for line in notebook.read_text().splitlines()]
    if where == "the same Redis":
        with connect(post.redis_url) as client:
            client.flushall()  # what a stock worker leaves behind for ever is not ours

    by_id = {note["id"]: (note["state"], note["code"]) for note in notes}
    assert by_id == {sent.id: ("sent", None), failed.id: ("failed", 1301)}
    assert len({note["task_id"] for note in notes}) == 2


def test_an_operators_word_is_an_end_too(shop: Post, server: SmtpServer, receiver: Receiver) -> None:
    """Mail that was held and is given up, and mail that lay among the dead letters and is dropped without any keys."""
    with shop.worker(), shop.mailer() as mailer:
        held = mailer.send(a_message(to=["doubt@example.com"]), session(shop, server), on_unknown="hold")
        wait_until(lambda: held.state() is State.HELD, TIMEOUT_S, "it to be held")
        shop.run("held", "drop", held.id, "--yes")
        receiver.wait_for(1)
        sealed_by_others = Mailer.from_env({**shop.environment, "POSTROOM_KEYS": generate_key("other")})
        with sealed_by_others as stranger:
            dead = stranger.send(a_message(), session(shop, server))
        with connect(shop.redis_url) as client:
            wait_until(lambda: client.llen(keys.DEAD) == 1, TIMEOUT_S, "a dead letter")
            letters = DeadLetters(client)
            assert letters.drop(next(iter(letters.scan())))
            # Its destination was sealed by keys that the worker does not have either: it waits for them.
            wait_until(lambda: client.llen(keys.DEAD) == 1, TIMEOUT_S, "the news of it among the dead letters")
            assert next(iter(letters.scan())).reason == "unknown_key"

    assert told(receiver) == [{"id": held.id, "state": "unknown", "code": 1303}]
    assert dead.id != held.id


@pytest.mark.parametrize(
    "destination", ["ftp://x", "celery:", "celery:a b", "https://user:pw@host/", "http://", "nobody"]
)
def test_a_destination_that_is_none_is_refused(shop: Post, destination: str) -> None:
    """At the start, or by the call; and not repeated, because it may hold a token."""
    with shop.mailer() as mailer, pytest.raises(ValueError, match="OnOutcome") as caught:
        mailer.send(a_message(), session(shop, 25), on_outcome=destination)
    assert destination not in str(caught.value) or destination in {"celery:", "http://"}
    shop.more["POSTROOM_ON_OUTCOME"] = destination
    with pytest.raises(Exception, match="POSTROOM_ON_OUTCOME"):
        shop.mailer()


DOCUMENTED = (ROOT / "docs" / "outcome.md").read_text(encoding="utf-8")


def documented(saying: str) -> dict[str, Any]:
    """The names that a documented block defines."""
    (text,) = [
        block
        for block in re.findall(r"^```python\n(.*?)^```$", DOCUMENTED, re.DOTALL | re.MULTILINE)
        if saying in block
    ]
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(text, names)  # noqa: S102 -- our own documentation
    return names


def test_the_documented_receiver_verifies(receiver: Receiver, shop: Post, server: SmtpServer) -> None:
    """A request of a real worker is taken, and another is not."""
    names = documented("verify")
    shop.more["POSTROOM_WEBHOOK_SECRETS"] = names["SECRET"]
    with shop.worker(), shop.mailer() as mailer:
        mailer.send(a_message(), session(shop, server))
        [request] = receiver.wait_for(1)
    client = names["app"].test_client()
    kept = {name: value for name, value in request.headers.items() if name.startswith(("webhook-", "content-type"))}

    assert client.post("/hooks/mail", data=request.body, headers=kept).status_code == 204
    assert client.post("/hooks/mail", data=request.body + b" ", headers=kept).status_code == 401


def test_the_documented_task_takes_what_it_is_given() -> None:
    """By name and keywords."""
    app = documented("mail_ended(*")["app"]

    assert app.tasks["shop.tasks.mail_ended"](id="x", state="sent", code=None) is None
    app.close()
