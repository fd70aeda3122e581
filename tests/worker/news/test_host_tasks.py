"""Calls of a host's own tasks, as they lie in its queue."""

from __future__ import annotations

import asyncio
import json

import pytest
from celery import current_app

from postroom.testing import free_port
from postroom_contract.destination import HostTask
from postroom_contract.news import News
from postroom_contract.outcome import State
from postroom_worker.news.host_tasks import HostTasks
from tests.support.valkey import connect

NEWS = News("0f8fad5b-d9cb-469f-a165-70867728950e", State.FAILED, 1301)


def call(url: str) -> str | None:
    """Call once; why it was in vain."""

    async def calling() -> str | None:
        tasks = HostTasks(url)
        answer = await tasks.call(HostTask("shop.ended", "shop"), NEWS)
        tasks.close()
        return answer.reason

    return asyncio.run(calling())


def test_the_call_is_a_stock_message_in_the_hosts_queue(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With keywords and an id of its own; a host's variables and current app are left alone."""
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://127.0.0.1:1/0")
    before = current_app._get_current_object()  # type: ignore[attr-defined]
    assert call(redis_url) is None
    with connect(redis_url) as client:
        message = json.loads(client.rpop("shop") or b"{}")
        client.flushall()  # kombu's own note of the queue stays for ever

    assert (message["headers"]["task"], message["headers"]["id"]) == ("shop.ended", NEWS.task_id)
    assert message["headers"]["ignore_result"] is True
    assert current_app._get_current_object() is before  # type: ignore[attr-defined]


@pytest.mark.timeout(60)
def test_a_broker_that_is_away_is_a_vain_attempt() -> None:
    """Told by the kind of error; the URL may hold a password."""
    assert call(f"redis://:secret@127.0.0.1:{free_port()}/0") == "OperationalError"
