"""Inside a host with a Celery application of its own: nothing of the host's changes, and nothing of ours.

The host is a Django project's process with `CELERY_*` in its environment, which Celery reads for every application. It sends
mail by Django's backend and a task by its own application, to brokers of their own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from postroom.testing import SmtpServer
from tests.support.celery_worker import ROOT
from tests.support.post import Post
from tests.support.valkey import connect

# A host's process: what it sees of its own Celery before and after it has used Postroom, and what it has sent.
HOST = """
import json
from celery import Celery, current_app

host = Celery("host")
host.conf.update(task_default_queue="host", task_serializer="json", timezone="Europe/Berlin")

@host.task(name="host.pack")
def pack(number):
    return number

def seen():
    conf = {name: repr(host.conf[name]) for name in sorted(host.conf)}
    return {
        "conf": conf, "tasks": sorted(host.tasks), "is_current": current_app._get_current_object() is host,
        "broker": host.connection_for_write().as_uri(), "backend": host.backend.as_uri(),
    }

before = seen()
from tests.support.django_site import set_up
set_up()
from django.core.mail import send_mail
from django.test import override_settings

import postroom.flask, postroom.fastapi
with override_settings(POSTROOM_SESSION="shop"):
    assert send_mail("Your order", "It is on its way.", None, ["ann@example.com"]) == 1
after = seen()
task_id = pack.delay(17).id
print(json.dumps({"before": before, "after": after, "task_id": task_id}))
"""


@pytest.fixture
def host_url(redis_url: str) -> Any:
    """The host's own broker: another database, emptied afterwards."""
    url = redis_url.removesuffix("/0") + "/1"
    yield url
    with connect(url) as client:
        client.flushdb()


def test_host_and_postroom_do_not_meet(post: Post, tls_server: SmtpServer, host_url: str) -> None:
    """The host's application, its settings and tasks stay as they were; each one's messages go to its own broker."""
    post.name_session("shop", tls_server)
    celerys = {"CELERY_BROKER_URL": host_url, "CELERY_RESULT_BACKEND": host_url}
    variables = os.environ | post.environment | celerys
    # The worker runs in the same surroundings, and must not take the host's broker for its own.
    with post.worker(**celerys):
        ended = subprocess.run(
            [sys.executable, "-c", HOST], cwd=ROOT, env=variables, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, ended.stderr
        tls_server.wait_for_messages(1, timeout_s=30)
    told = json.loads(ended.stdout)

    assert told["after"] == told["before"]
    assert told["before"]["is_current"]
    assert told["before"]["broker"].endswith("@" + host_url.removeprefix("redis://"))
    assert [message.recipients for message in tls_server.messages] == [("ann@example.com",)]
    with connect(host_url) as client:
        (message,) = client.lrange("host", 0, -1)
        assert json.loads(message)["headers"]["id"] == told["task_id"]
        assert not list(client.scan_iter("postroom*"))
    with connect(post.redis_url) as client:
        assert not list(client.scan_iter("host*"))
