"""News that could not be told lies among the dead letters, and waits for Redis to get there."""

from __future__ import annotations

import asyncio
import json

from postroom_broker.dead_letters import DeadLetters
from postroom_broker.death_reasons import DeathReason
from postroom_broker.news_grave import NewsGrave
from postroom_contract.names import QUEUE_NEWS
from postroom_contract.news import News
from postroom_contract.outcome import State
from tests.support.redis_proxy import Fault, RedisProxy
from tests.support.valkey import ValkeyServer, connect

NEWS = News("0f8fad5b-d9cb-469f-a165-70867728950e", State.FAILED, 1301)


async def bury(url: str) -> None:
    """Bury one piece of news."""
    grave = NewsGrave(url)
    await grave.bury(NEWS, "sealed", DeathReason.UNTOLD)
    await grave.aclose()


def test_it_can_be_told_again_from_the_beginning(redis_url: str) -> None:
    """Requeued, the task has the same id and arguments, and no attempts behind it."""
    asyncio.run(bury(redis_url))
    with connect(redis_url) as client:
        letters = DeadLetters(client)
        [letter] = letters.scan()
        assert (letter.delivery_id, letter.reason, letter.retries) == (NEWS.id, "untold", 0)
        assert letters.requeue(letter)
        message = json.loads(client.rpop(QUEUE_NEWS) or b"{}")

    assert json.loads(message["body"])[0] == [*NEWS.arguments, "sealed"]
    assert message["headers"]["task"] == "postroom.tell"


def test_it_waits_for_redis(valkey: ValkeyServer, redis_url: str) -> None:
    """A lost connection loses no news."""
    with RedisProxy(valkey.port, b"RPUSH", Fault.CUT_BEFORE, times=1) as proxy:
        asyncio.run(bury(proxy.url))
    with connect(redis_url) as client:
        assert DeadLetters(client).count() == 1
