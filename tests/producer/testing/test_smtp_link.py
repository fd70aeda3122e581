"""One end of a TCP connection: lines, waiting, and the ways to end it. The other end is a raw socket."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator

import pytest

from postroom.testing import CertificateKit
from postroom.testing.smtp_link import HIGH_WATER_OCTETS, HandshakeFailed, LineTooLong, LinkGone, SmtpLink
from tests.support.waiting import wait_until_async


@contextlib.asynccontextmanager
async def connected() -> AsyncIterator[tuple[SmtpLink, socket.socket]]:
    """A link and the client's socket, in one event loop; the socket blocks, with data at hand or an end it does not."""
    loop = asyncio.get_running_loop()
    opened: asyncio.Future[SmtpLink] = loop.create_future()
    listener = await loop.create_server(lambda: SmtpLink(opened.set_result), "127.0.0.1", 0)
    client = socket.create_connection(listener.sockets[0].getsockname(), 10)
    try:
        link = await opened
        yield link, client
        link.drop()
        await link.wait_until_gone()
    finally:
        client.close()
        listener.close()
        await asyncio.sleep(0)


async def receive(client: socket.socket) -> bytes:
    """Return what the client gets next, while the loop goes on."""
    return await asyncio.to_thread(client.recv, 65536)


def test_a_line_ends_with_crlf_and_nothing_else() -> None:
    """Bare CR and bare LF are part of a line."""

    async def scene() -> None:
        async with connected() as (link, client):
            client.sendall(b"one\ntwo\rthree\r\n\r\nfour\r")
            assert await link.read_line(100) == b"one\ntwo\rthree"
            assert await link.read_line(100) == b""
            client.sendall(b"\n")
            assert await link.read_line(100) == b"four"
            assert not link.has_input

    asyncio.run(scene())


@pytest.mark.parametrize("ends", [True, False])
def test_a_line_has_a_limit(ends: bool) -> None:  # noqa: FBT001
    """A line just as long as allowed passes; one octet more does not, whether its end is in sight or not."""

    async def scene() -> None:
        async with connected() as (link, client):
            client.sendall(b"x" * 10 + b"\r\n" + b"x" * 11 + (b"\r\n" if ends else b"xx"))
            assert await link.read_line(10) == b"x" * 10
            with pytest.raises(LineTooLong):
                await link.read_line(10)

    asyncio.run(scene())


def test_what_came_before_the_end_is_still_read() -> None:
    """A client that sends and closes its side at once is heard out, and can be answered."""

    async def scene() -> None:
        async with connected() as (link, client):
            client.sendall(b"QUIT\r\nhalf a li")
            client.shutdown(socket.SHUT_WR)
            assert await link.read_line(100) == b"QUIT"
            with pytest.raises(LinkGone):
                await link.read_line(100)
            link.write(b"221 bye\r\n")
            assert await receive(client) == b"221 bye\r\n"

    asyncio.run(scene())


def test_read_returns_what_there_is_and_can_be_undone() -> None:
    """What was read too far is read again."""

    async def scene() -> None:
        async with connected() as (link, client):
            client.sendall(b"body\r\n.\r\nMAIL\r\n")
            octets = await link.read()
            link.unread(octets[-6:])
            assert await link.read_line(100) == b"MAIL"
            client.close()
            with pytest.raises(LinkGone):
                await link.read()

    asyncio.run(scene())


def test_a_client_that_sends_too_much_is_slowed_down() -> None:
    """Reading stops above the high-water mark, and goes on when the input is used."""

    async def scene() -> None:
        async with connected() as (link, client):
            size = 8 * HIGH_WATER_OCTETS
            sending = asyncio.create_task(asyncio.to_thread(client.sendall, b"x" * size))
            await wait_until_async(lambda: link._transport is not None and not link._transport.is_reading(), 10)
            assert len(link._buffer) < 2 * HIGH_WATER_OCTETS
            received = 0
            while received < size:
                received += len(await link.read())
            await sending

    asyncio.run(scene())


def test_drop_ends_the_connection() -> None:
    """The client reads an end; what is written afterwards goes nowhere, without a fault."""

    async def scene() -> None:
        async with connected() as (link, client):
            link.drop()
            link.write(b"221 bye\r\n")
            assert await receive(client) == b""

    asyncio.run(scene())


def test_reset_resets_the_connection() -> None:
    """The client gets ECONNRESET, not an end."""

    async def scene() -> None:
        async with connected() as (link, client):
            link.reset()
            with pytest.raises(ConnectionResetError):
                await receive(client)

    asyncio.run(scene())


def test_close_lets_the_last_reply_arrive_though_input_is_unread() -> None:
    """A FIN follows the reply; unread input does not turn it into a RST."""

    async def scene() -> None:
        async with connected() as (link, client):
            client.sendall(b"x" * HIGH_WATER_OCTETS)
            link.write(b"552 too big\r\n")
            closing = asyncio.create_task(link.close())
            assert await receive(client) == b"552 too big\r\n"
            await asyncio.to_thread(client.sendall, b"x" * 64 * HIGH_WATER_OCTETS)
            assert await receive(client) == b""
            client.close()
            await closing

    asyncio.run(scene())


def test_closing_after_the_client_has_gone_is_no_fault() -> None:
    """Whoever was first."""

    async def scene() -> None:
        async with connected() as (link, client):
            link.write(b"221 bye\r\n")
            client.close()
            await link.wait_until_gone()
            await link.close()

    asyncio.run(scene())


def test_waiting_ends_with_what_is_waited_for() -> None:
    """While the client is there."""

    async def scene() -> None:
        async with connected() as (link, _client):
            await link.wait_for(asyncio.sleep(0))

    asyncio.run(scene())


def test_waiting_ends_when_the_client_goes() -> None:
    """Nobody is left to answer."""

    async def scene() -> None:
        async with connected() as (link, client):
            client.close()
            with pytest.raises(LinkGone):
                await link.wait_for(asyncio.Event().wait())

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("octets", "reason"), [(b"EHLO me.test\r\n", "WRONG_VERSION_NUMBER"), (b"GET / HTTP/1.1\r\n\r\n", "HTTP_REQUEST")]
)
def test_what_is_no_handshake_fails_with_openssls_reason(
    certificates: CertificateKit, octets: bytes, reason: str
) -> None:
    """Clear text spoken to a TLS port."""

    async def scene() -> None:
        async with connected() as (link, client):
            client.sendall(octets)
            with pytest.raises(HandshakeFailed, match=reason):
                await link.start_tls(certificates.server_context())

    asyncio.run(scene())


def test_what_comes_together_with_the_handshake_is_read(certificates: CertificateKit) -> None:
    """A client may send its first line in the segment that ends the handshake."""

    async def scene() -> None:
        async with connected() as (link, client):
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            tls = certificates.client_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
            starting = asyncio.create_task(link.start_tls(certificates.server_context()))
            with pytest.raises(ssl.SSLWantReadError):
                tls.do_handshake()
            client.sendall(outgoing.read())
            incoming.write(await receive(client))
            tls.do_handshake()
            tls.write(b"EHLO me.test\r\n")
            client.sendall(outgoing.read())

            assert await starting == "TLSv1.3"
            assert await link.read_line(100) == b"EHLO me.test"

    asyncio.run(scene())


def test_a_client_that_leaves_in_the_handshake_fails_it(certificates: CertificateKit) -> None:
    """The end of the connection is a reason too."""

    async def scene() -> None:
        async with connected() as (link, client):
            client.sendall(b"\x16\x03\x01")
            client.close()
            with pytest.raises(HandshakeFailed, match="client closed"):
                await link.start_tls(certificates.server_context())

    asyncio.run(scene())
