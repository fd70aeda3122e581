"""One SMTP connection once it stands: octets out, replies in, and why it ended.

Owns the transport: reply by reply reading with a timer for each wait, writing that knows what has left this process,
STARTTLS, and the rule that a reply nobody asked for ends the connection, because every later reply could then be taken for
the answer to the wrong command. It knows no commands but QUIT; sessions and the opening drive it.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections import deque
from collections.abc import Callable
from typing import Any

from postroom_worker.smtp.reply import ProtocolViolation, Reply, ReplyParser

# As soon as one octet waits in the buffer, writing pauses: what was written before a wait has left the process when the
# wait is over. Zero would be the natural number, but asyncio's TLS layer never resumes from it.
MOST_OCTETS_UNSENT = 1


class LinkLost(Exception):
    """The connection is of no more use; `reason` is `disconnected`, `timed_out`, `protocol_error` or `interrupted`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class SmtpConnection(asyncio.Protocol):
    """A connected transport, taken over from whoever opened it."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._loop = asyncio.get_running_loop()
        self._parser = ReplyParser()
        self._replies: deque[Reply] = deque()
        self._expected = 0
        self._ended: str | None = None
        self._is_overheard = False
        self._is_paused = False
        self._is_closed = False
        self._changed: asyncio.Future[None] | None = None
        transport.set_protocol(self)
        self._adopt(transport)
        if transport.is_closing():
            self._end("disconnected")

    # What asyncio calls.

    def data_received(self, data: bytes) -> None:  # noqa: D102 -- asyncio.Protocol says it
        self._parser.feed(data)
        try:
            while (reply := self._parser.next_reply()) is not None:
                self._take(reply)
        except ProtocolViolation:
            self._is_overheard = True
            self._end("protocol_error")
        self._wake()

    def eof_received(self) -> None:  # noqa: D102 -- asyncio.Protocol says it
        self._end("disconnected")

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002, D102 -- asyncio.Protocol says it
        self._is_closed = True
        self._end("disconnected")
        self._wake()

    def pause_writing(self) -> None:  # noqa: D102 -- asyncio.Protocol says it
        self._is_paused = True

    def resume_writing(self) -> None:  # noqa: D102 -- asyncio.Protocol says it
        self._is_paused = False
        self._wake()

    # What the session and the opening call.

    @property
    def is_quiet(self) -> bool:
        """Whether the connection stands and nothing is said, asked or half said: only then may a new dialogue begin."""
        is_open = self._ended is None and not self._transport.is_closing()
        return is_open and not (self._expected or self._replies or self._parser.has_leftover)

    @property
    def has_heard_too_much(self) -> bool:
        """Whether the server has said more than it was asked for, be it only half a line."""
        return self._is_overheard or bool(self._replies) or self._parser.has_leftover

    @property
    def has_reply(self) -> bool:
        """Whether a reply is there to be read."""
        return bool(self._replies)

    @property
    def is_encrypted(self) -> bool:
        """Whether TLS stands."""
        return self._transport.get_extra_info("ssl_object") is not None

    @property
    def security(self) -> str:
        """The TLS version, or that there is none."""
        tls = self._transport.get_extra_info("ssl_object")
        return "in the clear" if tls is None else str(tls.version())

    @property
    def certificate_ends_at(self) -> float | None:
        """When the server's certificate ends (s since 1970); None in the clear."""
        told = self._transport.get_extra_info("peercert")
        return ssl.cert_time_to_seconds(told["notAfter"]) if told else None

    @property
    def own_address(self) -> str:
        """The local end's IP address."""
        name: Any = self._transport.get_extra_info("sockname")
        return str(name[0])

    def expect(self, replies: int) -> None:
        """Say how many more replies are due (or fewer); without this they would be unasked for."""
        self._expected += replies

    def check_open(self) -> None:
        """Do nothing if the connection stands.

        Raises:
            LinkLost: it does not.
        """
        if self._ended is not None:
            raise LinkLost(self._ended)

    def write(self, octets: bytes | memoryview) -> None:
        """Hand octets over, in one segment where they fit.

        Raises:
            LinkLost: there is nobody to hand them to.
        """
        self.check_open()
        self._transport.write(octets)

    async def drain(self, timeout_s: float) -> None:
        """Wait until what was written has left, or until the server says something.

        Raises:
            LinkLost: the connection ended, or nothing moved in time.
        """
        # Once round the loop: a refusal or a hang-up that is already here has to be seen before more is written.
        await asyncio.sleep(0)
        await self._wait_until(lambda: not self._is_paused or bool(self._replies), timeout_s)

    async def read_reply(self, timeout_s: float) -> Reply:
        """Return the next reply; one that came before the connection ended still counts.

        Raises:
            LinkLost: none came.
        """
        await self._wait_until(lambda: bool(self._replies), timeout_s)
        return self._replies.popleft()

    async def ask(self, line: bytes, timeout_s: float) -> Reply:
        """Send one command line and return the reply to it.

        Raises:
            LinkLost: none came.
            ValueError: the line holds a line end; it would be two commands.
        """
        if b"\r" in line or b"\n" in line:
            raise ValueError("a command is one line")
        self.expect(1)
        self.write(line + b"\r\n")
        return await self.read_reply(timeout_s)

    async def start_tls(self, context: ssl.SSLContext, host: str, timeout_s: float) -> None:
        """Do the client's part of a handshake, after the server's 220.

        Raises:
            OSError: it failed, as the TLS layer says it (`ssl.SSLError`, `ConnectionError`).
        """
        transport = await self._loop.start_tls(
            self._transport, self, context, server_hostname=host, ssl_handshake_timeout=timeout_s
        )
        if transport is None:
            # asyncio returns None where the connection was lost without an error of its own.
            raise ConnectionResetError("the server hung up")
        self._adopt(transport)

    async def quit(self, timeout_s: float) -> None:
        """Say goodbye if there is anybody to say it to, and close; nothing that happens here matters any more."""
        try:
            with contextlib.suppress(LinkLost):
                if self.is_quiet:
                    await self.ask(b"QUIT", timeout_s)
            # Closed a second time, asyncio's TLS transport forgets its protocol, and `abort` then fails (Python 3.11.2).
            if not self._transport.is_closing():
                self._transport.close()
            with contextlib.suppress(LinkLost):
                await self._wait_until(lambda: self._is_closed, timeout_s)
        finally:
            self.abort()

    def abort(self) -> None:
        """Close at once; what is still in the buffer never leaves."""
        self._end("interrupted")
        self._transport.abort()

    def _adopt(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        transport.set_write_buffer_limits(high=MOST_OCTETS_UNSENT)

    def _take(self, reply: Reply) -> None:
        if self._expected:
            self._expected -= 1
            self._replies.append(reply)
        else:
            self._is_overheard = True
            self._end("disconnected" if reply.is_goodbye else "protocol_error")

    def _end(self, reason: str) -> None:
        """Note the end and its first reason; waiting for a server that is gone or mad is over."""
        if self._ended is None:
            self._ended = reason
            self._transport.abort()
            self._wake()

    def _wake(self) -> None:
        if self._changed is not None and not self._changed.done():
            self._changed.set_result(None)

    async def _wait_until(self, is_ready: Callable[[], bool], timeout_s: float) -> None:
        # A timer of our own instead of `asyncio.timeout`: that one misses its deadline in a task that has swallowed a
        # cancellation (Python 3.11), which is what waiting for the last reply does.
        timer = self._loop.call_later(timeout_s, self._end, "timed_out")
        try:
            while not is_ready():
                self.check_open()
                self._changed = self._loop.create_future()
                await self._changed
        finally:
            self._changed = None
            timer.cancel()
