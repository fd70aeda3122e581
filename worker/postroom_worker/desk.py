"""What the tasks of a worker process share: settings, sessions, the ledger, and who tells news.

Owns their making, on first use, because they belong to the loop that uses them, and their end. What they do is their own
business; `app` hands them to the tasks.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from postroom_broker.backlog import Counter
from postroom_broker.ledger.claims import Claims
from postroom_broker.news_grave import NewsGrave
from postroom_worker.delivery import Office
from postroom_worker.news.host_tasks import HostTasks
from postroom_worker.news.teller import Teller
from postroom_worker.news.webhook import WebhookCaller
from postroom_worker.settings import WorkerSettings
from postroom_worker.smtp import CacheStats, Limits, SessionCache, Timeouts

# After the drain, how long a send whose last byte has left may wait for its reply, and how long the pool then waits for
# its outcome: the pool waits longer, so that a silent server leaves an unknown outcome and not a message queued anew.
INTERRUPTED_S = 7.0
CANCEL_S = 8.0


class Desk:
    """Where the office and the ledger of this process are: made on first use, for they belong to the loop that uses them."""

    def __init__(self, broker_url: str, result_url: str) -> None:
        self._urls = broker_url, result_url
        # How many messages this process works at.
        self.slots = 1
        self._office: Office | None = None
        self._claims: Claims | None = None
        self._teller: Teller | None = None
        self._grave: NewsGrave | None = None

    def office(self) -> Office:
        """What the deliveries share."""
        if self._office is None:
            self._office = make_office(worker_settings())
        return self._office

    def claims(self) -> Claims:
        """What the ledger is asked by."""
        if self._claims is None:
            self._claims = Claims(*self._urls)
        return self._claims

    def teller(self) -> Teller:
        """Who tells news."""
        if self._teller is None:
            settings = worker_settings()
            webhooks = WebhookCaller(settings.webhook_secrets)
            self._teller = Teller(webhooks, HostTasks(settings.on_outcome_broker_url), self.slots)
        return self._teller

    def grave(self) -> NewsGrave:
        """Where news goes that cannot be told."""
        if self._grave is None:
            self._grave = NewsGrave(self._urls[0])
        return self._grave

    def stats(self) -> CacheStats:
        """What the sessions are about; any thread may ask."""
        return CacheStats(0, 0, 0, 0, 0) if self._office is None else self._office.sessions.stats

    def counter(self) -> Counter:
        """A counter of what waits."""
        return Counter(self._urls[0])

    def turn_away(self, **_: Any) -> None:
        """Begin no more mail."""
        if self._office is not None:
            self._office.sessions.turn_away()

    async def close(self, **_: Any) -> None:
        """End what was made."""
        if self._office is not None:
            await self._office.sessions.aclose()
        for used in (self._claims, self._teller, self._grave):
            if used is not None:
                await used.aclose()


@cache
def worker_settings() -> WorkerSettings:
    """This process's settings, read once."""
    return WorkerSettings.from_env()


def make_office(settings: WorkerSettings) -> Office:
    """What the deliveries of this process share."""
    return Office(
        keyring=settings.keyring,
        password_keyring=settings.password_keyring,
        sessions=SessionCache(
            limits=Limits(
                most_connections=settings.most_connections,
                most_messages=settings.most_messages_per_connection,
                most_idle_s=settings.most_idle_s,
                most_age_s=settings.most_age_s,
            ),
            timeouts=Timeouts(
                connect_s=settings.connect_timeout_s,
                greeting_s=settings.greeting_timeout_s,
                command_s=settings.command_timeout_s,
                final_s=settings.final_timeout_s,
                interrupted_s=INTERRUPTED_S,
            ),
            local_name=settings.ehlo_name or None,
        ),
        attachment_roots=settings.attachment_roots,
        most_attachment_bytes=settings.most_attachment_bytes,
    )
