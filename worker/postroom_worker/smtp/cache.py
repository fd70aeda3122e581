"""The sessions that this worker process keeps open, and the sending of a message over one of them.

Owns the block's promise: open, use it; closed, reopen it; none, create it. Also the most connections per key, fair
waiting for one, and the end of sessions by age, idleness, count, request and shutdown. Everything is kept per key: no lock
is held over any I/O, so a server that hangs delays nobody but those who want the same server.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from postroom_worker.smtp.access import Access, SessionKey
from postroom_worker.smtp.envelope import Envelope
from postroom_worker.smtp.limits import Limits, Timeouts
from postroom_worker.smtp.local_name import check_local_name, machine_name
from postroom_worker.smtp.opening import open_session
from postroom_worker.smtp.report import TransactionReport
from postroom_worker.smtp.session import OnCommit, SmtpSession
from postroom_worker.smtp.shelf import Shelf, TurnedAway


@dataclass(frozen=True, slots=True)
class CacheStats:
    """What the cache has done and holds."""

    opened: int  # sessions, since the start
    reused: int  # messages that found a session open
    busy: int  # sessions in use, being opened or being closed
    idle: int
    waiting: int  # messages that wait for a session


class SessionCache:
    """All sessions of one event loop. End it with `aclose`."""

    def __init__(
        self, *, limits: Limits | None = None, timeouts: Timeouts | None = None, local_name: str | None = None
    ) -> None:
        """Start with no session.

        Args:
            limits: how much to ask of each server.
            timeouts: how long to wait for it.
            local_name: what to say in EHLO; without it, the machine's qualified name or an address literal.

        Raises:
            ValueError: the local name cannot stand in EHLO.
        """
        self._limits = limits or Limits()
        self._timeouts = timeouts or Timeouts()
        self._local_name = check_local_name(local_name) if local_name else machine_name()
        self._shelves: dict[SessionKey, Shelf] = {}
        self._goodbyes: set[asyncio.Task[None]] = set()
        self._opened = 0
        self._reused = 0
        self._turns_away = False
        self._is_closed = False

    @property
    def stats(self) -> CacheStats:
        """The numbers as they are now; another thread may ask, for what it counts is copied in one step."""
        shelves = tuple(self._shelves.values())
        return CacheStats(
            opened=self._opened,
            reused=self._reused,
            busy=sum(shelf.busy for shelf in shelves),
            idle=sum(shelf.idle for shelf in shelves),
            waiting=sum(shelf.waiting for shelf in shelves),
        )

    async def send(
        self, access: Access, envelope: Envelope, content: bytes, *, on_commit: OnCommit, close_session: bool = False
    ) -> TransactionReport:
        """Send one message over a session for these details.

        Args:
            access: which server, how and as whom.
            envelope: who sends to whom.
            content: the message, lines ended by CRLF.
            on_commit: awaited with the admitted recipients just before the last octets leave; when it raises, they do not.
            close_session: say QUIT afterwards, however this ended, here and on all idle sessions with these details.

        Raises:
            TurnedAway: nothing was begun, and nothing will be: see `turn_away`.
            PostroomError: nothing of the message was sent: no session came about (100 to 300, a refusal, a lost
                connection), or the server said beforehand that it cannot take such a message.
            CancelledError: cancelled before the last octets left. After that it is not raised; see
                `TransactionReport.interrupted`.
        """
        if self._turns_away:
            raise TurnedAway
        shelf = self._shelves.setdefault(access.key, Shelf(self._limits.most_connections))
        try:
            await shelf.take_place()
        except BaseException:
            self._forget_empty_shelves()
            raise
        session: SmtpSession | None = None
        try:
            session, is_reused = await self._get_session(shelf, access)
            report = await session.send(envelope, content, on_commit)
            if is_reused and was_dead(report):
                # It died while it was idle: that says nothing about the server, and nothing of this message was taken.
                session.abort()
                session = None
                session = await self._open(access)
                report = await session.send(envelope, content, on_commit)
        finally:
            self._give_back(shelf, session, close_session=close_session)
        return report

    def close_idle(self, key: SessionKey) -> None:
        """Say QUIT on the idle sessions of one key, for a message that wants its session closed but was never begun."""
        shelf = self._shelves.get(key)
        if shelf is not None:
            self._close_idle(shelf)

    def turn_away(self) -> None:
        """Begin no message any more, also not those that wait for a session; what is under way goes on."""
        self._turns_away = True
        for shelf in self._shelves.values():
            shelf.turn_away()

    async def aclose(self) -> None:
        """Say QUIT on every idle session, and from now on to every other as soon as it is free; bounded in time."""
        self._is_closed = True
        for shelf in self._shelves.values():
            self._close_idle(shelf)
        if self._goodbyes:
            await asyncio.wait(self._goodbyes)

    async def _get_session(self, shelf: Shelf, access: Access) -> tuple[SmtpSession, bool]:
        """Return a session and whether it had been open."""
        while (session := shelf.take_idle()) is not None:
            if session.is_spent:
                shelf.keep_place()
                self._say_goodbye(shelf, session)
            elif await session.check():
                self._reused += 1
                return session, True
        return await self._open(access), False

    async def _open(self, access: Access) -> SmtpSession:
        session = await open_session(access, local_name=self._local_name, timeouts=self._timeouts, limits=self._limits)
        self._opened += 1
        return session

    def _give_back(self, shelf: Shelf, session: SmtpSession | None, *, close_session: bool) -> None:
        """Keep a session for the next message, or end it; runs to its end even where the sender was cancelled."""
        if close_session or self._is_closed:
            self._close_idle(shelf)
        if session is None or not session.is_alive:
            if session is not None:
                session.abort()
            shelf.free_place()
            self._forget_empty_shelves()
        elif close_session or self._is_closed or session.is_spent:
            self._say_goodbye(shelf, session)
        else:
            shelf.put_idle(session, self._expire)

    def _expire(self, shelf: Shelf, session: SmtpSession) -> None:
        shelf.remove_idle(session)
        shelf.keep_place()
        self._say_goodbye(shelf, session)

    def _close_idle(self, shelf: Shelf) -> None:
        while (session := shelf.take_idle()) is not None:
            shelf.keep_place()
            self._say_goodbye(shelf, session)

    def _say_goodbye(self, shelf: Shelf, session: SmtpSession) -> None:
        """QUIT in the background, in the session's place: to the server it is a connection until it is closed."""

        async def quit_and_leave() -> None:
            try:
                await session.quit()
            finally:
                shelf.free_place()
                self._forget_empty_shelves()

        goodbye = asyncio.get_running_loop().create_task(quit_and_leave())
        self._goodbyes.add(goodbye)
        goodbye.add_done_callback(self._goodbyes.discard)

    def _forget_empty_shelves(self) -> None:
        for key in [key for key, shelf in self._shelves.items() if shelf.is_empty]:
            del self._shelves[key]


def was_dead(report: TransactionReport) -> bool:
    """Return whether a session had ended before the message: the first answer is an end, a goodbye or an idle timeout.

    Amazon SES and Gmail say `451 4.4.2` to the first command after their patience ran out.
    """
    if report.mail is None:
        return report.lost is not None and report.lost.reason == "disconnected"
    return report.mail.is_goodbye or (report.mail.code, report.mail.enhanced) == (451, "4.4.2")
