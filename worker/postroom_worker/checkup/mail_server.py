"""The check of one session's mail server: name, port, TLS, EHLO, login, MAIL FROM; then RSET and QUIT, and nothing is sent.

Owns how far it goes and how long it waits: a person does, so all patience is short. The steps are those of a real send,
taken by the same code. One check is one connection and at most one login.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from postroom_contract.address import to_wire
from postroom_contract.encrypted_text import EncryptedText
from postroom_contract.errors import PostroomError
from postroom_contract.finding import Finding
from postroom_contract.finding_codes import FindingCode
from postroom_contract.sealing import Keyring
from postroom_contract.session import BasicEmailSessionDetails, UserCredentials
from postroom_worker.checkup.failures import finding_of, reply_in_numbers
from postroom_worker.delivery import open_credentials
from postroom_worker.smtp import Access, Timeouts
from postroom_worker.smtp.auth import log_in
from postroom_worker.smtp.connection import SmtpConnection
from postroom_worker.smtp.extensions import Extensions
from postroom_worker.smtp.opening import lost_in, reach

# Together about 8 s where a server is silent at the worst place. A server that keeps its greeting back for longer, to
# shake off spammers, is told as silent.
PATIENCE = Timeouts(
    resolve_s=3.0,
    connect_s=2.0,
    greeting_s=5.0,
    silence_s=1.5,
    probe_s=1.5,
    tls_s=3.0,
    command_s=3.0,
    envelope_s=3.0,
    quit_s=0.5,
)
# Renewal is tried a month before the end by common tools: two weeks before it something is wrong.
SOON_DAYS = 14
_DAY_S = 86400


Tell = Callable[[Finding], object]


@dataclass(frozen=True, slots=True)
class Visit:
    """What to check: a session, and what the check needs besides."""

    name: str
    details: BasicEmailSessionDetails
    # Without it nothing encrypted can be opened, and no login is tried.
    password_keyring: Keyring | None
    # Who writes; by default the user, where the user name is an address.
    sender: str | None = None
    local_name: str | None = None
    clock: Callable[[], float] = time.time


def sender_of(visit: Visit) -> str | None:
    """The address that MAIL FROM would name, as it goes over the wire; None where nobody told one."""
    credentials = visit.details.credentials
    user = credentials.username if isinstance(credentials, UserCredentials) else None
    if isinstance(user, EncryptedText):
        try:
            user = user.open(visit.password_keyring) if visit.password_keyring else None
        except PostroomError:
            user = None
    return to_wire(visit.sender or user or "")


async def check_mail_server(visit: Visit, tell: Tell) -> None:
    """Go as far as one gets without sending, and tell what is found as soon as it is."""
    access = _open(visit, tell)
    if access is None:
        return
    try:
        connection, extensions = await reach(access, local_name=visit.local_name, timeouts=PATIENCE)
    except PostroomError as failed:
        tell(finding_of(failed, visit.name))
        return
    try:
        for finding in _describe(visit, connection, extensions):
            tell(finding)
        if _may_go_on(visit, access, connection, extensions, tell):
            if access.has_credentials:
                with lost_in(access.place, "auth"):
                    await log_in(connection, extensions, access, PATIENCE.command_s)
                tell(Finding(FindingCode.LOGIN_ACCEPTED, visit.name))
            tell(await _try_sender(visit, access, connection))
    except PostroomError as failed:
        tell(finding_of(failed, visit.name))
    finally:
        await connection.quit(PATIENCE.quit_s)


def _open(visit: Visit, tell: Tell) -> Access | None:
    """The details in the clear; without a password where it cannot be opened, None where not even the host is known."""
    server = visit.details.server_details
    if visit.password_keyring is not None:
        try:
            return open_credentials(visit.details, visit.password_keyring)
        except PostroomError as closed:
            tell(finding_of(closed, visit.name))
    elif isinstance(visit.details.credentials, UserCredentials) or isinstance(server.host, EncryptedText):
        tell(Finding(FindingCode.LOGIN_UNCHECKED, visit.name))
    if isinstance(server.host, EncryptedText):
        return None
    return Access(server.host, server.port, server.use_ssl, server.allow_cleartext)


def _describe(visit: Visit, connection: SmtpConnection, extensions: Extensions) -> Iterator[Finding]:
    offered = {
        "PIPELINING": extensions.pipelining,
        "SIZE": extensions.announces_size,
        "8BITMIME": extensions.eight_bit_mime,
        "SMTPUTF8": extensions.smtputf8,
        "AUTH": bool(extensions.auth_mechanisms),
    }
    offers = ", ".join(name for name, is_there in offered.items() if is_there) or "nothing"
    security, ends_at = connection.security, connection.certificate_ends_at
    if ends_at is not None:
        days = math.floor((ends_at - visit.clock()) / _DAY_S)
        security = f"{security}, days left of its certificate: {days}"
        if days < SOON_DAYS:
            yield Finding(FindingCode.CERTIFICATE_ENDS_SOON, visit.name, {"days": days})
    yield Finding(FindingCode.SERVER_REACHED, visit.name, {"security": security, "offers": offers})
    if not extensions.pipelining:
        yield Finding(FindingCode.NO_PIPELINING, visit.name)


def _may_go_on(visit: Visit, access: Access, connection: SmtpConnection, extensions: Extensions, tell: Tell) -> bool:
    """Whether login and sender can be tried; what stands in the way without a password known is told."""
    if not isinstance(visit.details.credentials, UserCredentials):
        return True
    if not connection.is_encrypted:
        is_allowed = access.allow_cleartext
        code = FindingCode.CLEAR_TEXT if is_allowed else FindingCode.STARTTLS_NOT_OFFERED
        tell(Finding(code, visit.name))
        if not is_allowed:
            return False
    if not access.has_credentials and not extensions.auth_mechanisms:
        tell(Finding(FindingCode.LOGIN_NOT_OFFERED, visit.name))
    return access.has_credentials


async def _try_sender(visit: Visit, access: Access, connection: SmtpConnection) -> Finding:
    """MAIL FROM, and RSET at once: the server has judged the sender, and holds nothing."""
    sender = sender_of(visit)
    if sender is None:
        return Finding(FindingCode.SENDER_UNKNOWN, visit.name)
    parameters = "" if sender.isascii() else " SMTPUTF8"
    with lost_in(access.place, "MAIL FROM"):
        reply = await connection.ask(f"MAIL FROM:<{sender}>{parameters}".encode(), PATIENCE.envelope_s)
        await connection.ask(b"RSET", PATIENCE.envelope_s)
    code = FindingCode.SENDER_NOT_NOW if reply.is_transient else FindingCode.SENDER_REFUSED
    told = {"reply": reply_in_numbers(reply.code, reply.enhanced)}
    return Finding(FindingCode.SENDER_ACCEPTED if reply.is_positive else code, visit.name, told)
