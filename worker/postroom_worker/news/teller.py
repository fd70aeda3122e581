"""The steps of telling news: whose turn it is, the call, and what is learned of the place.

Owns how many calls are under way at once, of one place and in all, and that a place where the last call was in vain is left
alone for a while. So a host that is slow or away takes neither the slots in which mail is sent nor those in which others are
told; what is put off for it is not charged.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from random import random as any_number
from typing import TYPE_CHECKING

from postroom_contract.destination import Destination, Webhook
from postroom_worker.news.judgement import Answer

if TYPE_CHECKING:
    from postroom_contract.news import News
    from postroom_worker.news.host_tasks import HostTasks
    from postroom_worker.news.webhook import WebhookCaller

# Of one process's slots this part at the most may be taken by calls, and never more than so many: calls are short.
SHARE = 5
MOST_CALLS = 20
# Of the calls this part is kept from any one place: where that is slow, others are told all the same.
KEPT_FOR_OTHERS = 4
# How long a place is left alone after one vain call, doubled with each further one.
FIRST_REST_S = 5.0
MOST_REST_S = 600.0
# What is put off because all calls are under way comes again soon.
BUSY_WAIT_S = 2.0


@dataclass(slots=True)
class _Rest:
    """A place that is left alone."""

    until: float
    length_s: float


class Teller:
    """Tells the news of one process."""

    def __init__(
        self,
        webhooks: WebhookCaller,
        host_tasks: HostTasks,
        slots: int,
        clock: Callable[[], float] = time.monotonic,
        random: Callable[[], float] = any_number,
    ) -> None:
        """Begin.

        Args:
            webhooks: who calls them.
            host_tasks: who calls those.
            slots: how many messages this process works at.
            clock: seconds.
            random: a number from 0 to 1, to spread what is put off.
        """
        self._webhooks = webhooks
        self._host_tasks = host_tasks
        self._most_calls = max(1, min(MOST_CALLS, slots // SHARE))
        self._most_of_a_place = max(1, self._most_calls - max(1, self._most_calls // KEPT_FOR_OTHERS))
        self._calls: Counter[str] = Counter()
        self._rests: dict[str, _Rest] = {}
        self._clock = clock
        self._random = random

    async def tell(self, news: News, destination: Destination) -> Answer:
        """Tell one piece of news, or put it off."""
        place = destination.place if isinstance(destination, Webhook) else "celery"
        rest = self._rests.get(place)
        if rest is not None and (left_s := rest.until - self._clock()) > 0:
            # Spread over twice the time, so that not all of them come when it is over.
            return self._put_off("resting", left_s * (1 + self._random()))
        if self._calls.total() >= self._most_calls or self._calls[place] >= self._most_of_a_place:
            return self._put_off("busy", BUSY_WAIT_S * (1 + self._random()))
        self._calls[place] += 1
        try:
            answer = await self._call(news, destination)
        finally:
            self._calls[place] -= 1
            self._calls += Counter()  # forgets the places that are not called now
        self._learn(place, answer)
        return answer

    async def aclose(self) -> None:
        """Close the connections."""
        await self._webhooks.aclose()
        self._host_tasks.close()

    async def _call(self, news: News, destination: Destination) -> Answer:
        if isinstance(destination, Webhook):
            return await self._webhooks.call(destination, news)
        return await self._host_tasks.call(destination, news)

    def _learn(self, place: str, answer: Answer) -> None:
        if answer.is_told:
            self._rests.pop(place, None)
        elif answer.is_charged and not answer.is_final:
            before = self._rests.get(place)
            length_s = FIRST_REST_S if before is None else min(2 * before.length_s, MOST_REST_S)
            self._rests[place] = _Rest(self._clock() + max(length_s, answer.retry_after_s or 0.0), length_s)

    def _put_off(self, reason: str, wait_s: float) -> Answer:
        return Answer(reason=reason, retry_after_s=wait_s, is_charged=False)
