"""The question whether a silent port waits for TLS: 200 or 100.

Owns one ClientHello on a connection of its own and the look at the first octets that come back. It neither verifies nor
finishes anything, and no secret is near it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from typing import Any

from postroom_worker.smtp.dialing import connect
from postroom_worker.smtp.tls import client_context, server_name

# A TLS record: its type, then the major version, 3 ever since SSL 3 (RFC 8446 section 5.1).
_ALERT, _HANDSHAKE = 0x15, 0x16
_MAJOR_VERSION = 3
_RECORD_START_OCTETS = 2


async def speaks_tls(family: socket.AddressFamily, address: tuple[Any, ...], host: str, timeout_s: float) -> bool:
    """Return whether what listens there answers a ClientHello with TLS, be it only to refuse it."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(timeout_s):
            connection = await connect(family, address, timeout_s)
            with connection:
                await loop.sock_sendall(connection, client_hello(host))
                answer = b""
                while len(answer) < _RECORD_START_OCTETS and (more := await loop.sock_recv(connection, 64)):
                    answer += more
    except OSError:  # TimeoutError is one
        return False
    return len(answer) >= _RECORD_START_OCTETS and answer[0] in {_ALERT, _HANDSHAKE} and answer[1] == _MAJOR_VERSION


def client_hello(host: str) -> bytes:
    """Return the first flight of a handshake."""
    outgoing = ssl.MemoryBIO()
    handshake = client_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=server_name(host))
    with contextlib.suppress(ssl.SSLWantReadError):
        handshake.do_handshake()
    return outgoing.read()
