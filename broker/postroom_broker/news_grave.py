"""Where news goes that could not be told: among the dead letters, from where an operator can have it told again.

Owns the one call for it. Celery acknowledges the message afterwards: a crash in between buries it twice rather than never.
"""

from __future__ import annotations

import asyncio
import logging

from redis.asyncio import Redis

from postroom_broker import keys
from postroom_broker.connection import aconnect, translated
from postroom_broker.death_reasons import DeathReason
from postroom_broker.task_message import news_message
from postroom_broker.transport.envelope import dead
from postroom_contract.errors import BrokerUnavailable
from postroom_contract.names import QUEUE_NEWS
from postroom_contract.news import News

logger = logging.getLogger(__name__)

# Between two tries while Redis is away: the message is leased all the while, so that nothing is lost.
PAUSE_S = 1.0


class NewsGrave:
    """The dead letters, as the worker that tells news uses them. It belongs to one event loop; end it with `aclose`."""

    def __init__(self, broker_url: str) -> None:
        self._client: Redis = aconnect(broker_url)

    async def bury(self, news: News, destination: str, why: DeathReason) -> None:
        """Leave news to an operator; requeued, it is tried from the beginning. It waits for Redis, however long it is away."""
        entry = dead(news_message(news, destination), reason=why, deliveries=1, queue=QUEUE_NEWS)
        while True:
            try:
                with translated(self._client):
                    await self._client.rpush(keys.DEAD, entry)
            except BrokerUnavailable as away:
                logger.warning("News cannot be buried (%s): waiting for Redis", type(away.__cause__).__name__)
                await asyncio.sleep(PAUSE_S)
            else:
                return

    async def aclose(self) -> None:
        """Close the connection."""
        await self._client.aclose()
