"""One open session with a server, and the sending of one message over it.

Owns the drive of a transaction: writing its groups, the body in blocks, the commit just before the last octets, and what
a cancellation means at each point. The session's owner (the cache) decides whether it is used again; a session that is
in doubt says so and is closed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from postroom_worker.smtp.connection import LinkLost, SmtpConnection
from postroom_worker.smtp.envelope import Envelope
from postroom_worker.smtp.extensions import Extensions
from postroom_worker.smtp.limits import Limits, Timeouts
from postroom_worker.smtp.place import Place
from postroom_worker.smtp.reply import ProtocolViolation, Reply
from postroom_worker.smtp.report import Phase, TransactionReport
from postroom_worker.smtp.stopwatch import Step, Stopwatch
from postroom_worker.smtp.transaction import Transaction

# What is written at once, and the most that leaves after the commit: the smaller, the shorter the time in which an
# interruption leaves the outcome unknown. One TLS record holds as much (RFC 8446 section 5.1).
BLOCK_OCTETS = 16 * 1024

# What the time since the last lap went to, by how far a transaction got.
_LAST_STEPS = {
    Phase.IDLE: Step.ENVELOPE,
    Phase.ENVELOPE: Step.ENVELOPE,
    Phase.BODY: Step.BODY,
    Phase.COMMITTED: Step.REPLY,
    Phase.REPLIED: Step.REPLY,
}

# Told who will get the message, just before its last octets leave.
OnCommit = Callable[[tuple[str, ...]], Awaitable[None]]


class SmtpSession:
    """A connection that has been opened, secured and logged in."""

    def __init__(  # noqa: PLR0913 -- what a session is made of; only the opening makes one
        self,
        connection: SmtpConnection,
        extensions: Extensions,
        place: Place,
        *,
        is_authenticated: bool,
        timeouts: Timeouts,
        limits: Limits,
        stopwatch: Stopwatch | None = None,
    ) -> None:
        self.extensions = extensions
        self.messages = 0
        self._connection = connection
        self._place = place
        self._is_authenticated = is_authenticated
        self._timeouts = timeouts
        self._limits = limits
        self._clock = asyncio.get_running_loop().time
        # What the opening took is told with the first message.
        self._stopwatch = stopwatch or Stopwatch()
        self._needs_reset = False
        self._is_interrupted = False
        self.opened_at_s = self.used_at_s = self._clock()

    @property
    def is_alive(self) -> bool:
        """Whether, as far as we know, the connection stands and both sides agree where they are."""
        return self._connection.is_quiet

    @property
    def is_spent(self) -> bool:
        """Whether it has been used as long or as often as one session should be."""
        most = min(self._limits.most_messages, self.extensions.most_messages or self._limits.most_messages)
        return self.messages >= most or self.left_to_live_s <= 0

    @property
    def left_to_live_s(self) -> float:
        """How long it may still wait for the next message."""
        now = self._clock()
        return min(self.opened_at_s + self._limits.most_age_s - now, self.used_at_s + self._limits.most_idle_s - now)

    async def check(self) -> bool:
        """Make it ready for the next message; a session that has been idle, or holds a refused envelope, is asked.

        RSET serves both: it drops what the server still holds (RFC 5321 section 4.1.1.5), and only a living server
        answers it.
        """
        if not self.is_alive:
            return False
        is_doubtful = self._clock() - self.used_at_s > self._limits.unchecked_idle_s
        if not (self._needs_reset or is_doubtful):
            return True
        is_fit = False
        try:
            reply = await self._connection.ask(b"RSET", self._timeouts.check_s)
            is_fit = reply.is_positive and self.is_alive
        except LinkLost:
            pass
        finally:
            if not is_fit:
                self.abort()
        self._needs_reset = False
        return is_fit

    async def send(self, envelope: Envelope, content: bytes, on_commit: OnCommit) -> TransactionReport:
        """Send one message, and report how far that got.

        Args:
            envelope: who sends to whom.
            content: the message; see `Transaction`.
            on_commit: awaited with the admitted recipients just before the last octets leave. When it raises, they do not.

        Raises:
            SmtpCommandException: the server cannot take such a message; nothing was sent.
            CancelledError: cancelled before the last octets left; the connection is closed. Later it is not raised:
                the report tells what the reply was (`interrupted`), or that none came.
            Exception: whatever `on_commit` raised; the connection is closed.
        """
        most = self._limits.most_recipients
        transaction = Transaction(envelope, content, self.extensions, self._place, most_recipients=most)
        self._stopwatch = Stopwatch(None if self.messages else self._stopwatch.seconds)
        self.messages += 1
        self._is_interrupted = False
        try:
            await self._converse(transaction, on_commit)
        except LinkLost as lost:
            transaction.lose(lost.reason)
        except ProtocolViolation:
            transaction.lose("protocol_error")
        except BaseException:
            self.abort()
            raise
        self.used_at_s = self._clock()
        self._needs_reset = transaction.needs_reset
        report = transaction.report()
        self._stopwatch.lap(_LAST_STEPS[report.phase])
        is_usable = report.connection_usable and self.is_alive
        if not is_usable:
            self.abort()
        return replace(
            report,
            connection_usable=is_usable,
            is_encrypted=self._connection.is_encrypted,
            is_authenticated=self._is_authenticated,
            interrupted=self._is_interrupted,
            seconds=self._stopwatch.seconds,
        )

    async def quit(self) -> None:
        """End it with QUIT, within a bounded time."""
        await self._connection.quit(self._timeouts.quit_s)

    def abort(self) -> None:
        """End it at once."""
        self._connection.abort()

    async def _converse(self, transaction: Transaction, on_commit: OnCommit) -> None:
        while not transaction.is_over:
            if group := transaction.next_group():
                # With DATA the reply to the message is due as well: a refusal may come right behind the 354.
                self._connection.expect(transaction.outstanding + transaction.awaits_go_ahead)
                self._connection.write(group)
            if transaction.wants_content:
                await self._write_content(transaction, on_commit)
            is_go_ahead = transaction.awaits == "DATA"
            transaction.receive(await self._read(transaction.awaits))
            if is_go_ahead and not transaction.wants_content:
                self._connection.expect(-1)

    async def _write_content(self, transaction: Transaction, on_commit: OnCommit) -> None:
        self._stopwatch.lap(Step.ENVELOPE)
        wire = memoryview(transaction.start_content())
        # The last block is always a full one if there is more than one: the terminator is in it as a whole.
        last = max(0, len(wire) - BLOCK_OCTETS)
        for start in range(0, last, BLOCK_OCTETS):
            if self._connection.has_reply:
                return  # the server did not wait for the end: the transaction takes the reply, nothing is committed
            self._connection.write(wire[start : min(start + BLOCK_OCTETS, last)])
            await self._connection.drain(self._timeouts.block_s)
        self._stopwatch.lap(Step.BODY)
        await on_commit(transaction.report().admitted)
        self._stopwatch.lap(Step.COMMIT)
        if self._connection.has_reply:
            return
        self._connection.check_open()  # while `on_commit` waited it may have ended, and then nothing is committed
        transaction.commit()
        self._connection.write(wire[last:])

    async def _read(self, awaited: str | None) -> Reply:
        if awaited == ".":
            return await self._read_final()
        timeout_s = self._timeouts.data_s if awaited == "DATA" else self._timeouts.envelope_s
        return await self._connection.read_reply(timeout_s)

    async def _read_final(self) -> Reply:
        """Wait for the reply to the message. A cancellation does not end this wait, which alone can tell what became of it.

        The first one shortens it, the second gives up; both are taken off the task (`uncancel`), since it goes on.
        """
        try:
            return await self._connection.read_reply(self._timeouts.final_s)
        except asyncio.CancelledError:
            self._swallow_cancellation()
        try:
            return await self._connection.read_reply(self._timeouts.interrupted_s)
        except asyncio.CancelledError:
            self._swallow_cancellation()
            raise LinkLost("interrupted") from None
        except LinkLost as lost:
            raise LinkLost("interrupted" if lost.reason == "timed_out" else lost.reason) from None

    def _swallow_cancellation(self) -> None:
        self._is_interrupted = True
        task = asyncio.current_task()
        assert task is not None
        task.uncancel()
