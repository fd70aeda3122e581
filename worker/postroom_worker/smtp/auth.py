"""Logging in (RFC 4954).

Owns the mechanisms PLAIN, LOGIN and CRAM-MD5, their order, and what the server's answer means. One wrong password is one
AUTH command: servers lock accounts, so another mechanism is tried only where the answer says that the mechanism, not the
password, was the trouble.
"""

from __future__ import annotations

from collections.abc import Callable, Generator

from aiosmtplib import SMTPAuthenticationError
from aiosmtplib.auth import auth_crammd5_verify, auth_login_encode, auth_plain_encode

from postroom_contract.error_codes import ErrorCode
from postroom_contract.errors import PostroomError
from postroom_worker.smtp.access import Access
from postroom_worker.smtp.connection import SmtpConnection
from postroom_worker.smtp.extensions import Extensions
from postroom_worker.smtp.reply import Reply

# With its CRLF; a longer line has to leave its initial response to the next one (RFC 4954 section 4).
LONGEST_COMMAND_OCTETS = 512

# Yields lines to send, and is sent the text of each 334.
Exchange = Generator[bytes, str, None]

# Trouble with the mechanism: not recognised, not implemented, not now (504, 5xx of RFC 5321), seen in the wild (553).
_MECHANISM_CODES = {500, 501, 502, 504, 553}
_NOT_ENABLED = 503
_NEEDS_TLS = {530, 538}
_PASSWORD_CHANGE = (432, "4.7.12")


def mechanisms(extensions: Extensions, *, is_encrypted: bool) -> list[str]:
    """Return the mechanisms to try, best first.

    Within TLS, PLAIN takes the fewest round trips, and CRAM-MD5 makes servers keep passwords in the clear. Without TLS
    (the session's express wish) CRAM-MD5 is the one that does not give the password away.
    """
    order = ("PLAIN", "LOGIN", "CRAM-MD5") if is_encrypted else ("CRAM-MD5", "PLAIN", "LOGIN")
    return [name for name in order if name in extensions.auth_mechanisms]


async def log_in(connection: SmtpConnection, extensions: Extensions, access: Access, timeout_s: float) -> None:
    """Log in, or say why not.

    Raises:
        EmailSessionException: 300, or 200 where the server wants TLS first.
        IOException: the server hung up (421).
        LinkLost: the connection was lost.
    """
    assert access.username is not None
    assert access.password is not None
    if not extensions.auth_mechanisms:
        raise _failure(access, "auth_not_offered")
    trouble: Reply | None = None
    for name in mechanisms(extensions, is_encrypted=connection.is_encrypted):
        reply = await _hold(connection, _EXCHANGES[name](access.username, access.password), timeout_s)
        if reply.is_positive:
            return
        error = judge(reply, access, is_encrypted=connection.is_encrypted)
        if error is not None:
            raise error
        trouble = reply
    raise _failure(access, "auth_mechanism", trouble)


def judge(reply: Reply, access: Access, *, is_encrypted: bool) -> PostroomError | None:
    """Return what a refusal of AUTH means, or None where another mechanism may be tried."""
    if reply.is_goodbye:
        return access.place.failure(
            ErrorCode.CONNECTION_LOST, phase="auth", reason="disconnected", retryable=True, reply=reply
        )
    if reply.code in _MECHANISM_CODES:
        return None
    if reply.code == _NOT_ENABLED:
        return _failure(access, "auth_not_offered", reply)
    if reply.code in _NEEDS_TLS and not is_encrypted:
        return access.place.failure(ErrorCode.SSL_REQUIRED, phase="auth", reply=reply)
    if reply.is_transient and (reply.code, reply.enhanced) != _PASSWORD_CHANGE:
        return _failure(access, "auth_temporary", reply)
    return _failure(access, None, reply)


async def _hold(connection: SmtpConnection, exchange: Exchange, timeout_s: float) -> Reply:
    """Hold one exchange to its end, and return the reply that ended it."""
    reply = await connection.ask(next(exchange), timeout_s)
    while reply.wants_more:
        try:
            line = exchange.send(reply.text)
        except (StopIteration, SMTPAuthenticationError):
            # More challenges than the mechanism has, or one that cannot be read: "*" gives up (RFC 4954 section 4),
            # and 501 is the answer, which stands for trouble with the mechanism.
            line = b"*"
        reply = await connection.ask(line, timeout_s)
        if line == b"*":
            return Reply(501, None, reply.text) if not reply.is_goodbye else reply
    return reply


def _failure(access: Access, reason: str | None, reply: Reply | None = None) -> PostroomError:
    code, is_temporary = ErrorCode.INVALID_USER_CREDENTIALS, reason == "auth_temporary"
    return access.place.failure(code, phase="auth", reason=reason, retryable=is_temporary, reply=reply)


def _plain(username: str, password: str) -> Exchange:
    response = auth_plain_encode(username, password)
    line = b"AUTH PLAIN " + response
    if len(line) + 2 <= LONGEST_COMMAND_OCTETS:
        yield line
    else:
        yield b"AUTH PLAIN"
        yield response


def _login(username: str, password: str) -> Exchange:
    # The prompts differ between servers and say nothing: user name first, then password.
    name, secret = auth_login_encode(username, password)
    yield b"AUTH LOGIN"
    yield name
    yield secret


def _cram_md5(username: str, password: str) -> Exchange:
    challenge = yield b"AUTH CRAM-MD5"
    yield auth_crammd5_verify(username, password, challenge)


_EXCHANGES: dict[str, Callable[[str, str], Exchange]] = {"PLAIN": _plain, "LOGIN": _login, "CRAM-MD5": _cram_md5}
