"""The sessions of one key: who waits on the shelf, and how many places are taken.

Owns the count that keeps a server from seeing more than so many connections, and the queue of those who wait for a place,
first come, first served. Every open connection is either idle on the shelf or holds a place; together they never exceed
the limit. No I/O: the cache opens and closes.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from postroom_worker.smtp.session import SmtpSession


class TurnedAway(Exception):  # not an error of anybody's: the worker ends
    """There will be no place any more; nothing was begun."""


class Shelf:
    """Places and idle sessions of one key."""

    def __init__(self, most: int) -> None:
        self.busy = 0
        self._most = most
        self._idle: dict[SmtpSession, asyncio.TimerHandle] = {}
        self._queue: deque[asyncio.Future[None]] = deque()

    @property
    def idle(self) -> int:
        """How many sessions wait for a message."""
        return sum(session.is_alive for session in tuple(self._idle))

    @property
    def waiting(self) -> int:
        """How many messages wait for a place."""
        return len(self._queue)

    @property
    def is_empty(self) -> bool:
        """Whether nothing would be lost without this shelf."""
        return not (self.busy or self._idle or self._queue)

    async def take_place(self) -> None:
        """Wait for a place and take it."""
        if self.busy < self._most:  # then nobody waits: a place that is freed is handed over in the same breath
            self.busy += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        try:
            await turn
        except TurnedAway:
            raise
        except BaseException:
            if turn in self._queue:
                self._queue.remove(turn)
            elif not turn.cancelled():
                self.free_place()  # it was handed over in the same moment
            raise

    def turn_away(self) -> None:
        """Let nobody wait any longer."""
        while self._queue:
            turn = self._queue.popleft()
            if not turn.done():
                turn.set_exception(TurnedAway())

    def free_place(self) -> None:
        """Give a place back, to whoever waits longest."""
        self.busy -= 1
        self._hand_over()

    def keep_place(self) -> None:
        """Let a session that was idle hold a place: it is about to be closed, and counts until then."""
        self.busy += 1

    def put_idle(self, session: SmtpSession, expire: Callable[[Shelf, SmtpSession], None]) -> None:
        """Put a session on the shelf; its place is free now. `expire` is called when it has waited too long."""
        timer = asyncio.get_running_loop().call_later(session.left_to_live_s, expire, self, session)
        self._idle[session] = timer
        self.free_place()

    def take_idle(self) -> SmtpSession | None:
        """Take the session used last, so that those not needed grow old and go."""
        if not self._idle:
            return None
        session, timer = self._idle.popitem()
        timer.cancel()
        return session

    def remove_idle(self, session: SmtpSession) -> None:
        """Take this session."""
        self._idle.pop(session).cancel()

    def _hand_over(self) -> None:
        while self._queue and self.busy < self._most:
            turn = self._queue.popleft()
            if not turn.done():
                self.busy += 1
                turn.set_result(None)
