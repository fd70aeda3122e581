"""The Celery task that tells a host of an end: takes news off its queue, has it told, and sees that it is not lost.

Owns what follows from an answer: done, again later, or among the dead letters. Who is called and how is `news`'s. Everything
that passes here is public, but for the sealed destination.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from celery.app.task import Context
from celery.exceptions import Reject

from postroom_broker.death_reasons import DeathReason
from postroom_contract.destination import open_destination
from postroom_contract.errors import ArgumentException, SealException
from postroom_contract.names import TASK_TELL
from postroom_contract.news import News
from postroom_worker import events
from postroom_worker.async_task import AsyncTask, RetryLater
from postroom_worker.news.judgement import Answer, wait_after

if TYPE_CHECKING:
    from collections.abc import Callable

    from postroom_broker.news_grave import NewsGrave
    from postroom_contract.sealing import Keyring
    from postroom_worker.news.teller import Teller


class NewsUntold(Exception):
    """Why news is told later, in a word; Celery shows it."""


class TellTask(AsyncTask):
    """`postroom.tell(id, state, code, destination, attempts=0)`."""

    name = TASK_TELL
    ignore_result = True
    throws = (NewsUntold,)
    # Each call has its timeout, and Celery's would drop the news.
    has_limits = False

    def __init__(
        self, keyring: Callable[[], Keyring], teller: Callable[[], Teller], grave: Callable[[], NewsGrave]
    ) -> None:
        self._keyring = keyring
        self._teller = teller
        self._grave = grave

    async def arun(  # noqa: PLR0913, PLR0917 -- what the message holds
        self, request: Context, /, delivery_id: str, state: str, code: int | None, destination: str, attempts: int = 0
    ) -> Any:
        """Tell it, or see that it is told later."""
        del request
        try:
            news = News.read(delivery_id, state, code)
        except ValueError as wrong:
            raise Reject(str(wrong), requeue=False) from None  # nobody of ours wrote it: the transport keeps it
        try:
            place = open_destination(destination, news.id, self._keyring())
        except SealException as closed:
            return await self._bury(
                news, destination, DeathReason(str(closed.reason)), Answer(reason="sealed"), attempts
            )
        except ArgumentException:
            return await self._bury(news, destination, DeathReason.REJECTED, Answer(reason="unknown_form"), attempts)
        answer = await self._teller().tell(news, place)
        attempts += answer.is_charged
        if answer.is_told:
            events.tell(events.NewsTold(news.id, news.state, "told", answer.status, attempts=attempts))
            return None
        wait_s = wait_after(answer, attempts)
        if wait_s is None:
            return await self._bury(news, destination, DeathReason.UNTOLD, answer, attempts)
        events.tell(
            events.NewsTold(news.id, news.state, "put_off", answer.status, answer.reason, attempts, after_s=wait_s)
        )
        return RetryLater(wait_s, NewsUntold(answer.reason), (*news.arguments, destination, attempts))

    async def _bury(self, news: News, destination: str, why: DeathReason, answer: Answer, attempts: int) -> None:
        await self._grave().bury(news, destination, why)
        events.tell(events.NewsTold(news.id, news.state, "dead", answer.status, answer.reason, attempts))
