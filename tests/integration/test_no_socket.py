"""The block's row "the socket is held by another process": transient, and a typed error where it does not pass.

Another process really holds every socket that the worker's system has for the mail server, while Redis stays within
reach (`tests.support.narrow_network`). Both ways of asking are shown: the command line, and Python.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from celery import Celery

from postroom import ErrorCode, IOException, Mailer, Receipt, Sent, State
from postroom.testing import SmtpServer
from postroom_worker.verdict import POLICIES, FailureClass
from tests.conftest import require
from tests.support.narrow_network import NarrowNetwork, can_be_had
from tests.support.post import Post
from tests.support.waiting import wait_until

# The whole retry budget is about a minute and a half.
BUDGET_TIMEOUT_S = 150
FAILED, PENDING = 10, 75


@pytest.fixture(scope="module", autouse=True)
def _namespaces() -> None:
    require("permission to make a network namespace (Linux)", is_there=can_be_had())


@pytest.fixture
def server() -> Iterator[SmtpServer]:
    """The mail server."""
    with SmtpServer() as server:
        yield server


@pytest.fixture
def network(post: Post, server: SmtpServer) -> Iterator[NarrowNetwork]:
    """A network in which a worker works, and in which another process holds every socket to the mail server."""
    redis_port = int(post.redis_url.rpartition(":")[2].partition("/")[0])
    with NarrowNetwork(post.folder, redis_port, server.port) as network, post.worker(starter=network.starter):
        assert network.hold_every_socket() > 0
        yield network


def request(server: SmtpServer) -> dict[str, Any]:
    """A message and a session in the block's JSON."""
    address = {"Host": "127.0.0.1", "Port": server.port, "UseSsl": False, "AllowCleartext": True}
    return {
        "EmailMessage": {
            "To": [{"Address": "ann@example.com"}],
            "From": {"Address": "clerk@example.com"},
            "Subject": "Hello",
            "Body": "Hello",
        },
        "BasicEmailSessionDetails": {"ServerDetails": address, "Credentials": {"Anonymous": True}},
    }


def send(mailer: Mailer, server: SmtpServer) -> Receipt:
    """Queue a message from Python."""
    asked = request(server)
    return mailer.send(asked["EmailMessage"], asked["BasicEmailSessionDetails"])


def test_a_socket_that_is_to_be_had_again_is_used(post: Post, server: SmtpServer, network: NarrowNetwork) -> None:
    """While every socket is held the delivery is retrying, for the reason 1201; then it is sent."""
    queued = post.run("send", "-", standard_input=json.dumps(request(server))).answer["id"]
    with post.mailer() as mailer, Celery(backend=post.redis_url, set_as_current=False) as celery:
        receipt = send(mailer, server)
        wait_until(lambda: receipt.state() == mailer.receipt(queued).state() == State.RETRYING, 30, "the first tries")
        retrying = post.run("status", queued)
        stored = celery.AsyncResult(receipt.id)
        assert (retrying.exit_code, retrying.answer["state"]) == (PENDING, "retrying")
        assert (stored.status, stored.result.args[0]) == ("RETRY", 1201)
        network.let_go()
        told = post.run("status", queued, "--wait", "60")
        outcome = receipt.outcome(timeout=60)

    assert (told.exit_code, told.answer["state"], told.answer["error"]) == (0, "sent", None)
    assert told.answer["attempts"] > 1
    assert isinstance(outcome, Sent)
    assert outcome.attempts > 1
    assert len(server.messages) == 2


@pytest.mark.timeout(BUDGET_TIMEOUT_S + 90)
def test_a_socket_that_stays_held_is_a_typed_error(post: Post, server: SmtpServer, network: NarrowNetwork) -> None:
    """Its retries spent, the delivery has failed: IOException, 1201, an OSError, and one line on what to do."""
    with post.mailer() as mailer, ThreadPoolExecutor(1) as meanwhile:
        command = ("send", "-", "--wait", str(BUDGET_TIMEOUT_S))
        asked = meanwhile.submit(
            post.run, *command, standard_input=json.dumps(request(server)), timeout_s=BUDGET_TIMEOUT_S + 30
        )
        with pytest.raises(OSError, match="no socket") as raised:
            send(mailer, server).result(timeout=BUDGET_TIMEOUT_S)
        told = asked.result()
        again = post.run("status", told.answer["id"])

    error = told.answer["error"]
    assert (told.exit_code, told.answer["state"]) == (FAILED, "failed")
    assert (error["type"], error["error_code"], error["retryable"]) == ("IOException", 1201, True)
    assert error["message"].endswith("running again usually solves it.")
    assert error["message"].count("\n") == 0
    assert error["help_link"].endswith("#code-1201")
    assert told.answer["attempts"] == POLICIES[FailureClass.LOCAL].most_attempts
    assert (again.exit_code, again.answer) == (FAILED, told.answer)
    assert isinstance(raised.value, IOException)
    assert raised.value.code is ErrorCode.LOCAL_RESOURCE
    assert not server.messages
