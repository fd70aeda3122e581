"""Workers on a Redis that has no memory left: they live, and go on with what lies there."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from postroom import Sent
from postroom.testing import SmtpServer
from tests.integration.test_crashes import break_connections
from tests.support.post import Post, a_message
from tests.support.valkey import connect
from tests.support.waiting import wait_until


@contextlib.contextmanager
def no_memory(url: str) -> Iterator[None]:
    """Within this block the server refuses whatever may need memory."""
    with connect(url) as client:
        client.config_set("maxmemory", 1)
        try:
            yield
        finally:
            client.config_set("maxmemory", 0)


def test_an_idle_worker_outlives_a_full_server(post: Post) -> None:
    """It cannot wait for mail, and is told so; when there is memory again it sends."""
    with SmtpServer() as server, post.worker() as worker, post.mailer() as mailer:
        session = post.session(server, use_ssl=False, password=None)
        assert isinstance(mailer.send(a_message(), session).outcome(timeout=30), Sent)
        with no_memory(post.redis_url):
            wait_until(lambda: "Redis refuses to give out mail" in worker.log, 30, "the worker to be refused")
        assert isinstance(mailer.send(a_message(), session).outcome(timeout=30), Sent)


def test_a_worker_that_starts_on_a_full_server_empties_it(post: Post) -> None:
    """Nothing else would: what lies in the queue is given out and sent, also after a broken connection."""
    with SmtpServer() as server, post.mailer() as mailer, connect(post.redis_url) as client:
        session = post.session(server, use_ssl=False, password=None)
        receipts = [mailer.send(a_message(number), session) for number in range(2)]
        with no_memory(post.redis_url), post.worker() as worker:
            assert {type(receipt.outcome(timeout=30)) for receipt in receipts} == {Sent}
            break_connections(client)
            wait_until(lambda: worker.log.count("Connected to") == 2, 30, "the worker to come back")
        with post.worker():
            assert isinstance(mailer.send(a_message(), session).outcome(timeout=30), Sent)
