"""From a host name to a connected socket.

Owns name resolution and TCP, in two steps of our own: asyncio would merge the failures of several addresses into one
error without a number. Here each becomes 100 or 101 with its reason, or an error of this machine.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
from typing import Any

from postroom_contract.error_codes import ErrorCode
from postroom_contract.errors import PostroomError
from postroom_worker.smtp.limits import Timeouts
from postroom_worker.smtp.place import Place

# One after the other, each with its own timer: a name with a hundred addresses must not keep a send for half an hour.
MOST_ADDRESSES_TRIED = 6

_NO_SUCH_HOST = {socket.EAI_NONAME, socket.EAI_NODATA}

# This machine has run out of something: no fault of the server, and no news about it.
_LOCAL_TROUBLE = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL, errno.EADDRINUSE}

# Where several addresses failed, what the error tells: a refusal is news about the port, the others about the way.
_TELLING = ("refused", "timed_out", "unreachable")

Address = tuple[socket.AddressFamily, tuple[Any, ...]]


async def dial(place: Place, timeouts: Timeouts) -> socket.socket:
    """Return a socket connected to the first of the host's addresses that answers.

    Raises:
        EmailSessionException: 101, there is no such host; 100, nothing answers on its port.
        IOException: this machine has no socket to spare, or the server hung up at once.
    """
    reasons: set[str] = set()
    for family, address in (await resolve(place, timeouts.resolve_s))[:MOST_ADDRESSES_TRIED]:
        try:
            return await connect(family, address, timeouts.connect_s)
        except OSError as error:
            if error.errno in _LOCAL_TROUBLE and _has_own_address(family, address, error):
                raise place.failure(ErrorCode.LOCAL_RESOURCE, phase="connect", retryable=True) from error
            if isinstance(error, ConnectionResetError):
                # Somebody was there and hung up while we looked; that is what a busy or restarting server does.
                code = ErrorCode.CONNECTION_LOST
                raise place.failure(code, phase="connect", reason="disconnected", retryable=True) from error
            reasons.add(_reason(error))
    reason = next(word for word in _TELLING if word in reasons)
    raise place.failure(ErrorCode.INVALID_PORT, phase="connect", reason=reason, retryable=True)


async def resolve(place: Place, timeout_s: float) -> list[Address]:
    """Return the host's addresses, in the order in which the system wants them tried.

    Raises:
        EmailSessionException: 101.
    """
    try:
        number = ipaddress.ip_address(place.host)
    except ValueError:
        pass
    else:
        family = socket.AF_INET if number.version == 4 else socket.AF_INET6  # noqa: PLR2004 -- the Internet Protocol
        return [(family, (place.host, place.port))]
    try:
        async with asyncio.timeout(timeout_s):
            found = await asyncio.get_running_loop().getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
    except (socket.gaierror, TimeoutError, ValueError) as error:
        raise _unknown_host(place, error) from error
    return [(family, address) for family, _, _, _, address in found]


async def connect(family: socket.AddressFamily, address: tuple[Any, ...], timeout_s: float) -> socket.socket:
    """Return a socket connected to one address.

    Raises:
        OSError: as the system says it; TimeoutError included.
    """
    connection = socket.socket(family, socket.SOCK_STREAM)
    try:
        connection.setblocking(False)  # noqa: FBT003 -- the standard library's signature
        # An idle session behind a NAT that has forgotten it would otherwise never hear that it is dead.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        async with asyncio.timeout(timeout_s):
            await asyncio.get_running_loop().sock_connect(connection, address)
    except BaseException:
        connection.close()
        raise
    return connection


def _has_own_address(family: socket.AddressFamily, address: tuple[Any, ...], error: OSError) -> bool:
    """Tell a machine whose ports are all taken from one that has no address to call from, as one without IPv6.

    Connecting says EADDRNOTAVAIL to both. A datagram socket needs an address too, but none of those ports, and connecting
    it sends nothing.
    """
    if error.errno != errno.EADDRNOTAVAIL:
        return True
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect(address)
    except OSError as also:
        return also.errno != errno.EADDRNOTAVAIL
    return True


def _unknown_host(place: Place, error: Exception) -> PostroomError:
    # A ValueError (UnicodeError among them) comes from the encoding of the name: an empty label, one too long, a NUL.
    is_final = isinstance(error, ValueError) or (isinstance(error, socket.gaierror) and error.errno in _NO_SUCH_HOST)
    reason = None if is_final else "dns_temporary"
    return place.failure(ErrorCode.INVALID_HOST, phase="resolve", reason=reason, retryable=not is_final)


def _reason(error: OSError) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "refused"
    return "timed_out" if isinstance(error, TimeoutError) else "unreachable"
