"""From a connected socket to a server that has greeted us.

Owns the use of aiosmtplib: it wraps the socket, does the handshake of implicit TLS and reads the greeting; then our own
connection takes the transport over. Also owns the patience with a silent port: after a while it is asked whether it
waits for TLS. All failures are translated here.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from functools import partial
from typing import cast

import aiosmtplib

from postroom_contract.error_codes import ErrorCode
from postroom_contract.errors import PostroomError
from postroom_worker.smtp.access import Access
from postroom_worker.smtp.connection import SmtpConnection
from postroom_worker.smtp.limits import Timeouts
from postroom_worker.smtp.place import Place
from postroom_worker.smtp.reply import Reply
from postroom_worker.smtp.tls import client_context, explain, server_name
from postroom_worker.smtp.tls_probe import speaks_tls

# aiosmtplib's code for a reply that is none.
_MALFORMED = -1


async def greet(access: Access, connected: socket.socket, timeouts: Timeouts) -> SmtpConnection:
    """Return the connection once the server has said 220.

    Args:
        access: how TLS begins.
        connected: the socket; it belongs to the connection from now on and is closed when this raises.
        timeouts: how long to wait for what.

    Raises:
        EmailSessionException: 100, nobody greets, or not in SMTP; 200, the port waits for TLS; 201, TLS fails.
        SmtpCommandException: the greeting is a refusal.
        IOException: the connection was lost.
    """
    client = aiosmtplib.SMTP(
        hostname=server_name(access.host),
        sock=connected,
        use_tls=access.use_ssl,
        start_tls=False,
        tls_context=client_context() if access.use_ssl else None,
        timeout=timeouts.greeting_s,
        # Not used before we take over; without it aiosmtplib asks the resolver for one.
        local_hostname="localhost",
    )
    try:
        address = connected.getpeername()
    except OSError as error:  # the server has hung up already
        connected.close()
        raise _hung_up(access.place) from error
    probe = partial(speaks_tls, connected.family, address, access.host, timeouts.probe_s)
    waits_for_tls = access.place.failure(ErrorCode.SSL_REQUIRED, phase="greeting", reason="implicit_tls")
    silence_s = None if access.use_ssl else timeouts.silence_s
    try:
        is_silent_for_tls = await _is_silent_for_tls(client, connected, silence_s, probe)
    except (aiosmtplib.SMTPException, OSError) as error:
        hung_up = isinstance(error.__cause__, aiosmtplib.SMTPServerDisconnected)
        if hung_up and not access.use_ssl and await probe():
            # Some TLS servers give a client that says nothing less time than we do.
            raise waits_for_tls from error
        raise _translate(error, access) from error
    if is_silent_for_tls:
        raise waits_for_tls
    transport = cast("asyncio.Transport | None", client.transport)
    if transport is None or transport.is_closing():
        raise _hung_up(access.place)
    return SmtpConnection(transport)


async def _is_silent_for_tls(
    client: aiosmtplib.SMTP,
    connected: socket.socket,
    silence_s: float | None,
    probe: Callable[[], Awaitable[bool]],
) -> bool:
    """Wait for the greeting and return False; or True if nothing came in `silence_s` and `probe` then says yes first.

    Raises:
        SMTPException, OSError: what `client.connect` raised.
    """
    greeting = asyncio.ensure_future(client.connect())
    asking: asyncio.Future[bool] | None = None
    try:
        await asyncio.wait({greeting}, timeout=silence_s)
        if not greeting.done():
            asking = asyncio.ensure_future(probe())
            await asyncio.wait({greeting, asking}, return_when=asyncio.FIRST_COMPLETED)
            if not greeting.done() and asking.result():
                await _let_go(connected, greeting)
                return True
        await asyncio.shield(greeting)
    except BaseException:
        await _let_go(connected, greeting)
        raise
    finally:
        if asking is not None:
            asking.cancel()
    return False


async def _let_go(connected: socket.socket, greeting: asyncio.Future[aiosmtplib.SMTPResponse]) -> None:
    """End an attempt. Cancelling it could leave the socket to nobody, so the socket ends, and the attempt by that."""
    with contextlib.suppress(OSError):
        connected.shutdown(socket.SHUT_RDWR)
    # If a second cancellation interrupts this wait, somebody still has to look at the attempt's exception.
    greeting.add_done_callback(lambda done: done.cancelled() or done.exception())
    await asyncio.wait({greeting})


def _translate(error: aiosmtplib.SMTPException | OSError, access: Access) -> PostroomError:
    place, cause = access.place, error.__cause__
    if isinstance(error, aiosmtplib.SMTPResponseException):
        if error.code == _MALFORMED or not 400 <= error.code < 600:  # noqa: PLR2004 -- refusals (RFC 5321 section 4.2.1)
            return place.failure(ErrorCode.INVALID_PORT, phase="greeting", reason="not_smtp")
        reply = Reply.parse(error.code, error.message.split("\n"))
        code, told = ErrorCode.COMMAND_REFUSED, {"command": "the connection"}
        return place.failure(code, phase="greeting", retryable=reply.is_transient, reply=reply, more=told)
    if isinstance(cause, aiosmtplib.SMTPTimeoutError):
        return place.failure(ErrorCode.INVALID_PORT, phase="greeting", reason="timed_out", retryable=True)
    if isinstance(cause, aiosmtplib.SMTPServerDisconnected) or not access.use_ssl:
        return _hung_up(place)
    return explain(cause or error, is_implicit=True).as_error(place, "tls")


def _hung_up(place: Place) -> PostroomError:
    return place.failure(ErrorCode.CONNECTION_LOST, phase="greeting", reason="disconnected", retryable=True)
