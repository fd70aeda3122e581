"""Calls to a host's own Celery tasks, by name.

Owns the Celery app that publishes them: one of its own, which never becomes anybody's current one, and with an explicit
broker, so that a host's `CELERY_...` variables change nothing. The host's worker needs nothing of Postroom.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from celery import Celery
from kombu.exceptions import OperationalError

from postroom_worker.news.judgement import Answer

if TYPE_CHECKING:
    from postroom_contract.destination import HostTask
    from postroom_contract.news import News

# A broker that is away is tried again later, by our own table: a thread waits for it meanwhile.
CONNECT_TIMEOUT_S = 5.0
# A call takes a millisecond where the broker is there.
THREADS = 4


class HostTasks:
    """Publishes calls to the tasks of hosts."""

    def __init__(self, broker_url: str) -> None:
        self._broker_url = broker_url
        self._app: Any = None
        # Threads of their own: a broker that is away would keep the loop's from looking up mail servers.
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="postroom-news")

    async def call(self, task: HostTask, news: News) -> Answer:
        """Tell a host, once."""
        try:
            await asyncio.get_running_loop().run_in_executor(self._threads, self._publish, task, news)
        except (OperationalError, OSError) as away:
            return Answer(reason=type(away).__name__)
        return Answer()

    def close(self) -> None:
        """Close the connections; a call that still waits for its broker is not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._app is not None:
            self._app.close()

    def _publish(self, task: HostTask, news: News) -> None:
        if self._app is None:
            app = _HostCelery(self._broker_url)
            app.conf.broker_connection_timeout = CONNECT_TIMEOUT_S
            app.conf.broker_transport_options = {"socket_connect_timeout": CONNECT_TIMEOUT_S, "socket_timeout": 10}
            self._app = app
        # The same id each time: whoever wants to, recognises a repetition by it.
        self._app.send_task(
            task.name, kwargs=news.as_dict(), task_id=news.task_id, queue=task.queue, ignore_result=True, retry=False
        )


class _HostCelery(Celery):
    """An app that publishes to the broker it was given, whatever a host's own CELERY_BROKER_URL says."""

    def __init__(self, broker_url: str) -> None:
        super().__init__("postroom.news", broker=broker_url, set_as_current=False)
        self._broker_url = broker_url

    def _connection(self, url: str, **options: Any) -> Any:  # noqa: ARG002 -- Celery's own signature
        return super()._connection(self._broker_url, **options)  # type: ignore[misc]
