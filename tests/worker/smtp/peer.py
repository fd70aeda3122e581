"""A connection whose other end is in the hands of the test, octet by octet."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from postroom_worker.smtp.connection import SmtpConnection
from tests.support.waiting import wait_until_async

WAIT_S = 30.0


class Peer:
    """The other end, in the hands of the test."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        end.setblocking(False)  # noqa: FBT003

    async def say(self, octets: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self._end, octets)

    async def hear(self) -> bytes:
        return await asyncio.get_running_loop().sock_recv(self._end, 65536)

    def hang_up(self) -> None:
        self._end.close()


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[SmtpConnection, Peer]]:
    """Hand out a connection and its peer."""
    near, far = socket.socketpair()
    transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=near)
    connection = SmtpConnection(transport)
    try:
        yield connection, Peer(far)
    finally:
        connection.abort()
        await wait_until_async(lambda: near.fileno() == -1, WAIT_S)
        far.close()
