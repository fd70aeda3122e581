"""The threads of a worker process: one that turns an asyncio loop, and a few that do blocking work beside it.

Owns their start, their end and the beat that shows whether the loop turns. It knows nothing of Celery or of mail; the
pool starts them and gives them their work. All of them are daemons: none may hold up the end of the process.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from queue import SimpleQueue
from typing import ParamSpec

logger = logging.getLogger(__name__)

P = ParamSpec("P")

# A lease is renewed only while the loop has turned within the last 5 s: ten beats, so that one late beat costs nothing.
BEAT_S = 0.5

# How long coroutines that are left at the end may take over their own `finally`, and the thread to end after that.
CLEAN_UP_S = 1.0

# What blocks and is awaited on the loop: reading attachments, composing large mail, and looking up the names of mail servers and
# webhooks. A lookup that was given up goes on in its thread, for half a minute where no name server answers; with asyncio's own
# limit (six threads on two processors) a few of one host's would keep all others from theirs. They start as they are needed.
MOST_HELPERS = 256


class LoopThread:
    """One asyncio loop for the whole process, in a thread of its own."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.loop.set_default_executor(ThreadPoolExecutor(MOST_HELPERS, thread_name_prefix="postroom-helper"))
        self.turned_at = time.monotonic()
        self._ends = False
        self._thread = threading.Thread(target=self._turn, name="postroom-loop", daemon=True)

    def start(self) -> None:
        """Turn the loop from now on."""
        self.loop.call_soon(self._beat)
        self._thread.start()

    def call(self, callback: Callable[P, object], *args: P.args, **_: P.kwargs) -> None:
        """Have the loop call `callback` in its turn; nothing happens once it is closed. Any thread may ask."""
        with suppress(RuntimeError):
            self.loop.call_soon_threadsafe(callback, *args)

    def stop(self, last_words: Callable[[], Awaitable[None]], timeout_s: float) -> None:
        """Run `last_words` on the loop for `timeout_s` at most, cancel what is left there, and end the thread."""
        if self._ends or not self._thread.is_alive():
            return
        self._ends = True
        said = asyncio.run_coroutine_threadsafe(self._say(last_words, timeout_s), self.loop)
        try:
            said.result(timeout_s + CLEAN_UP_S)
        except TimeoutError:
            logger.error("The event loop does not turn, for something blocks it: it is left behind")
        finally:
            self.call(self.loop.stop)
            self._thread.join(2 * CLEAN_UP_S)

    def _turn(self) -> None:
        asyncio.set_event_loop(self.loop)
        while not self._turned_to_the_end():
            pass
        if left := asyncio.all_tasks(self.loop):
            for task in left:
                task.cancel()
            self.loop.run_until_complete(asyncio.wait(left, timeout=CLEAN_UP_S))
        self.loop.close()

    def _turned_to_the_end(self) -> bool:
        try:
            self.loop.run_forever()
        except BaseException as error:  # noqa: BLE001 - one task's SystemExit must not end the loop of all others
            logger.critical("%s ended a turn of the event loop, which goes on", type(error).__name__)
            return False
        return True

    def _beat(self) -> None:
        self.turned_at = time.monotonic()
        self.loop.call_later(BEAT_S, self._beat)

    async def _say(self, last_words: Callable[[], Awaitable[None]], timeout_s: float) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                await last_words()
        except TimeoutError:
            logger.warning("Not all was said before the event loop ended: %g s have passed", timeout_s)


class Crew:
    """Threads that take blocking work in turn. Unlike those of `concurrent.futures` they never delay the exit."""

    def __init__(self, size: int, name: str) -> None:
        self._work: SimpleQueue[Callable[[], object]] = SimpleQueue()
        self._threads = [threading.Thread(target=self._toil, name=f"{name}-{n}", daemon=True) for n in range(size)]

    def start(self) -> None:
        """Let the threads wait for work."""
        for thread in self._threads:
            thread.start()

    def submit(self, work: Callable[[], object]) -> None:
        """Have one of the threads call `work`; any thread may ask."""
        self._work.put(work)

    def _toil(self) -> None:
        while True:
            work = self._work.get()
            try:
                work()
            except BaseException as error:  # noqa: BLE001 - the thread has other work to do
                logger.critical("%s came out of a piece of work", type(error).__name__)
            del work  # what it holds must not live until the next one comes
