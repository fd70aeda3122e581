"""The scripted SMTP server's end of one TCP connection: octets in, octets out, TLS, and every way to end it.

Lines end with CRLF and with nothing else (RFC 5321 §2.3.8), so that a bare LF stays visible instead of being forgiven.
No SMTP here: `smtp_session` holds the conversation.
"""

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable

from postroom.testing.tls_layer import TlsLayer

CRLF = b"\r\n"

# Above this the client is slowed down: the kernel's own buffers fill up, as before a slow server.
HIGH_WATER_OCTETS = 256 * 1024

# How long a closing server goes on reading, so that unread input does not turn its FIN into a RST, which would destroy
# the last reply on its way (RFC 1122 §4.2.2.13 asks for the RST).
LINGER_S = 1.0

# Long enough that a reader on loopback gets each octet on its own, short enough for a reply of a hundred.
SPLIT_PAUSE_S = 0.001

# struct linger: on, zero seconds; makes close() send RST.
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class LinkGone(Exception):
    """The client has closed or lost the connection, and all it sent has been read."""


class LineTooLong(Exception):
    """There is more than a line's worth of input and no CRLF."""


class HandshakeFailed(Exception):
    """TLS could not be established; the text is OpenSSL's reason."""


class SmtpLink(asyncio.Protocol):
    """One accepted connection; `on_open` is called with it when it stands."""

    def __init__(self, on_open: Callable[["SmtpLink"], None]) -> None:
        self._on_open = on_open
        self._transport: asyncio.Transport | None = None
        self._tls: TlsLayer | None = None
        self._buffer = bytearray()
        self._arrived = asyncio.Event()
        self._gone = asyncio.Event()
        self._is_discarding = False
        self.tls_failure: str | None = None
        """Why TLS ended the connection; in TLS 1.3 the client refuses a certificate after the server's handshake is done."""

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take over the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._on_open(self)

    def data_received(self, data: bytes) -> None:
        """Keep what arrived."""
        if self._is_discarding:
            return
        self._buffer += self._decrypt(data)
        self._arrived.set()
        if len(self._buffer) > HIGH_WATER_OCTETS:
            self._live.pause_reading()

    def eof_received(self) -> bool:
        """Note that no more will come, and stay half open: what came before is still to be answered."""
        self._end_input()
        return True

    def connection_lost(self, _error: Exception | None) -> None:
        """Note that the connection is gone."""
        self._end_input()

    # What the session calls.

    @property
    def has_input(self) -> bool:
        """Whether the client has sent more than has been read."""
        return bool(self._buffer)

    async def read_line(self, most_octets: int) -> bytes:
        """Return the next line without its CRLF.

        Raises:
            LineTooLong: there is no CRLF within `most_octets`.
            LinkGone: there will be none.
        """
        while (end := self._buffer.find(CRLF, 0, most_octets + len(CRLF))) < 0:
            if len(self._buffer) >= most_octets + len(CRLF):
                raise LineTooLong
            await self._read_more()
        line = bytes(self._buffer[:end])
        del self._buffer[: end + len(CRLF)]
        return line

    async def read(self) -> bytes:
        """Return all that has arrived, at least one octet.

        Raises:
            LinkGone: nothing more will come.
        """
        while not self._buffer:
            await self._read_more()
        octets = bytes(self._buffer)
        self._buffer.clear()
        return octets

    def unread(self, octets: bytes) -> None:
        """Put back what was read too far."""
        self._buffer[:0] = octets

    def write(self, octets: bytes) -> None:
        """Send octets, in one segment where they fit; nothing happens when the connection is closed."""
        if octets and not self._live.is_closing() and self.tls_failure is None:
            self._live.write(self._tls.encrypt(octets) if self._tls else octets)

    async def write_split(self, octets: bytes) -> None:
        """Send octets one by one."""
        for octet in octets:
            self.write(bytes([octet]))
            await asyncio.sleep(SPLIT_PAUSE_S)

    async def wait_for(self, something: Awaitable[object]) -> None:
        """Wait for something, but no longer than the client stays.

        Raises:
            LinkGone: the client went first.
        """
        waits = {asyncio.ensure_future(something), asyncio.ensure_future(self._gone.wait())}
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if self._gone.is_set():
            raise LinkGone

    async def wait_until_gone(self) -> None:
        """Wait until the client closes the connection."""
        await self._gone.wait()

    async def start_tls(self, context: ssl.SSLContext) -> str:
        """Do the server's part of a handshake and return the protocol version.

        Raises:
            HandshakeFailed: it did not come about; the connection is of no more use.
        """
        tls = TlsLayer(context)
        try:
            while not tls.shake_hands(await self.read()):
                self._live.write(tls.take_outgoing())
        except LinkGone:
            raise HandshakeFailed("the client closed the connection") from None
        except ssl.SSLError as error:
            self._live.write(tls.take_outgoing())  # the alert
            raise HandshakeFailed(error.reason) from error
        self._live.write(tls.take_outgoing())
        self._tls = tls
        self._buffer += self._decrypt(b"")  # what came together with the end of the handshake
        return tls.version

    async def close(self) -> None:
        """End our side in good order (FIN; over TLS, close_notify first), and wait a moment for the client's end."""
        self._is_discarding = True
        if self._live.is_closing():
            return
        if self._tls:
            self._live.write(self._tls.close())
        with contextlib.suppress(OSError):  # the client has reset the connection
            self._live.write_eof()
        self._live.resume_reading()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._gone.wait(), LINGER_S)

    def drop(self) -> None:
        """End the connection at once, without a word."""
        self._live.abort()

    def reset(self) -> None:
        """End the connection with RST."""
        connection: socket.socket = self._live.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self._live.abort()

    @property
    def _live(self) -> asyncio.Transport:
        assert self._transport is not None, "the connection does not stand yet"
        return self._transport

    def _decrypt(self, octets: bytes) -> bytes:
        if self._tls is None:
            return octets
        try:
            return self._tls.decrypt(octets)
        except ssl.SSLError as error:
            self.tls_failure = error.reason
            self._end_input()
        return b""

    async def _read_more(self) -> None:
        if self._gone.is_set():
            raise LinkGone
        self._arrived.clear()
        self._live.resume_reading()
        await self._arrived.wait()

    def _end_input(self) -> None:
        self._gone.set()
        self._arrived.set()
