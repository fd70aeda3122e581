"""Opening a session: connect, greet, EHLO, TLS, EHLO again, log in.

Owns the order of these steps and the rule that decides between TLS and clear text: credentials travel inside TLS only,
unless the session says otherwise in so many words, and a server that offered STARTTLS and then fails at it is never
spoken to in the clear. Called by the session cache, and by the checkup up to the login; every failure is one of the
contract's errors.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from postroom_contract.error_codes import ErrorCode
from postroom_contract.errors import PostroomError
from postroom_worker.smtp.access import Access
from postroom_worker.smtp.auth import log_in
from postroom_worker.smtp.connection import LinkLost, SmtpConnection
from postroom_worker.smtp.dialing import dial
from postroom_worker.smtp.extensions import Extensions
from postroom_worker.smtp.greeting import greet
from postroom_worker.smtp.limits import Limits, Timeouts
from postroom_worker.smtp.local_name import address_literal
from postroom_worker.smtp.place import Place
from postroom_worker.smtp.reply import Reply
from postroom_worker.smtp.session import SmtpSession
from postroom_worker.smtp.stopwatch import Step, Stopwatch
from postroom_worker.smtp.tls import client_context, explain, server_name

# EHLO not known (RFC 5321 section 4.1.1.1).
_UNKNOWN_COMMAND = {500, 502, 504}


async def open_session(access: Access, *, local_name: str | None, timeouts: Timeouts, limits: Limits) -> SmtpSession:
    """Open a session.

    Args:
        access: where, how and as whom.
        local_name: what to call ourselves; None for the address literal of the connection.
        timeouts: how long to wait for what.
        limits: what the session is told about its own use.

    Raises:
        EmailSessionException: 100, 101, 200, 201 or 300.
        SmtpCommandException: the server refused the connection or EHLO.
        IOException: the connection was lost, or this machine has no socket to spare.
    """
    stopwatch = Stopwatch()
    connection, extensions = await reach(access, local_name=local_name, timeouts=timeouts, stopwatch=stopwatch)
    if access.has_credentials:
        async with _closed_on_failure(connection, timeouts):
            with lost_in(access.place, "auth"):
                await log_in(connection, extensions, access, timeouts.command_s)
        stopwatch.lap(Step.AUTH)
    return SmtpSession(
        connection,
        extensions,
        access.place,
        is_authenticated=access.has_credentials,
        timeouts=timeouts,
        limits=limits,
        stopwatch=stopwatch,
    )


async def reach(
    access: Access, *, local_name: str | None, timeouts: Timeouts, stopwatch: Stopwatch | None = None
) -> tuple[SmtpConnection, Extensions]:
    """Open a session as far as one gets without logging in: what the server is, and what it offers within TLS.

    Raises:
        EmailSessionException: 100, 101, 200 or 201, or 300 where the server is too old to know logins.
        SmtpCommandException, IOException: as `open_session`.
    """
    stopwatch = stopwatch or Stopwatch()
    connected = await dial(access.place, timeouts)
    stopwatch.lap(Step.CONNECT)
    connection = await greet(access, connected, timeouts)
    stopwatch.lap(Step.TLS if access.use_ssl else Step.GREETING)
    async with _closed_on_failure(connection, timeouts):
        name = local_name or address_literal(connection.own_address)
        extensions = await _say_hello(connection, access, name, timeouts)
        stopwatch.lap(Step.GREETING)
        if _needs_starttls(connection, extensions, access):
            await _start_tls(connection, access.place, timeouts)
            stopwatch.lap(Step.TLS)
            extensions = await _say_hello(connection, access, name, timeouts)
            stopwatch.lap(Step.GREETING)
    return connection, extensions


@asynccontextmanager
async def _closed_on_failure(connection: SmtpConnection, timeouts: Timeouts) -> AsyncIterator[None]:
    try:
        yield
    except PostroomError:
        await connection.quit(timeouts.quit_s)
        raise
    except BaseException:
        connection.abort()
        raise


async def _say_hello(connection: SmtpConnection, access: Access, name: str, timeouts: Timeouts) -> Extensions:
    with lost_in(access.place, "ehlo"):
        reply = await connection.ask(f"EHLO {name}".encode(), timeouts.command_s)
        if reply.is_positive:
            return Extensions.from_reply(reply)
        if reply.code in _UNKNOWN_COMMAND and not access.has_credentials:
            # The old greeting does for a server of which neither TLS nor AUTH is wanted.
            reply = await connection.ask(f"HELO {name}".encode(), timeouts.command_s)
            if reply.is_positive:
                return Extensions()
    if reply.code in _UNKNOWN_COMMAND and access.has_credentials:
        if not connection.is_encrypted and not access.allow_cleartext:
            raise _no_tls(access.place, "starttls_not_offered", reply)
        code = ErrorCode.INVALID_USER_CREDENTIALS
        raise access.place.failure(code, phase="ehlo", reason="auth_not_offered", reply=reply)
    code, told = ErrorCode.COMMAND_REFUSED, {"command": "EHLO"}
    raise access.place.failure(code, phase="ehlo", retryable=reply.is_transient, reply=reply, more=told)


def _needs_starttls(connection: SmtpConnection, extensions: Extensions, access: Access) -> bool:
    if connection.is_encrypted:
        return False
    if extensions.starttls:
        return True
    if access.has_credentials and not access.allow_cleartext:
        # Stripped by somebody in between, or never there: RFC 3207 section 6.
        raise _no_tls(access.place, "starttls_not_offered")
    return False


async def _start_tls(connection: SmtpConnection, place: Place, timeouts: Timeouts) -> None:
    with lost_in(place, "starttls"):
        reply = await connection.ask(b"STARTTLS", timeouts.command_s)
    if not reply.is_positive:
        raise _no_tls(place, "starttls_refused", reply, retryable=reply.is_transient)
    if connection.has_heard_too_much:
        # What comes in the clear behind the 220 would be read as if it had come through TLS (CVE-2011-0411).
        raise _no_tls(place, "starttls_injection")
    try:
        await connection.start_tls(client_context(), server_name(place.host), timeouts.tls_s)
    except OSError as error:
        raise explain(error, is_implicit=False).as_error(place, "tls") from error


def _no_tls(place: Place, reason: str, reply: Reply | None = None, *, retryable: bool = False) -> PostroomError:
    code = ErrorCode.SSL_UNSUPPORTED
    return place.failure(code, phase="starttls", reason=reason, retryable=retryable, reply=reply)


@contextmanager
def lost_in(place: Place, phase: str) -> Iterator[None]:
    """Translate a lost connection: nothing of a message has been sent, so trying again is safe."""
    try:
        yield
    except LinkLost as lost:
        code = ErrorCode.CONNECTION_LOST
        raise place.failure(code, phase=phase, reason=lost.reason, retryable=True) from lost
