"""One attempt to deliver: from the sealed payload to an outcome, or to the wish to be called again.

Owns the order of the steps; `deliver` reads as the table of contents. Composing, sending and judging live in modules of
their own, what the ledger knows is asked through `assignment`, and nothing here knows Celery or Redis: `tasks` calls it and has
what it returns written down.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import random as any_number
from typing import TYPE_CHECKING

from postroom_broker.ledger.claims import Standing
from postroom_contract.delivery import Delivery, OnUnknown, Progress
from postroom_contract.encrypted_text import EncryptedText, password_place
from postroom_contract.error_codes import ErrorCode
from postroom_contract.errors import (
    CancelledException,
    EmailSessionException,
    ExpiredException,
    PostroomError,
    SealException,
    UnknownOutcomeException,
)
from postroom_contract.outcome import Outcome
from postroom_contract.session import Anonymous, check_host
from postroom_worker.assignment import Overtaken
from postroom_worker.attachments import load_attachments
from postroom_worker.composer import compose
from postroom_worker.conclusion import Again, Attempt, Hold, conclude, if_silent, learn
from postroom_worker.smtp import Access, Envelope, TurnedAway
from postroom_worker.timesheet import Lap

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from postroom_broker.ledger.claims import Claim
    from postroom_contract.sealing import Keyring
    from postroom_contract.session import BasicEmailSessionDetails
    from postroom_worker.assignment import Assignment
    from postroom_worker.smtp import SessionCache
    from postroom_worker.timesheet import Timesheet


# Encoding this much takes about 3 ms; a thread costs a tenth of that, and 25 MB would take 170 ms.
MOST_BYTES_COMPOSED_INLINE = 500_000


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Office:
    """What the deliveries of one worker process share."""

    keyring: Keyring
    password_keyring: Keyring
    sessions: SessionCache
    attachment_roots: tuple[Path, ...]
    most_attachment_bytes: int
    now: Callable[[], datetime] = _now
    random: Callable[[], float] = any_number


@dataclass(frozen=True, slots=True)
class Unopened:
    """The message cannot be opened with this worker's keys, or is not what it should be: an operator has to decide."""

    error: PostroomError


Ending = Outcome | Again | Hold | Unopened | Overtaken


async def deliver(
    office: Office, assignment: Assignment, payload: str, earlier: str | None, timesheet: Timesheet
) -> Ending:
    """Make one attempt.

    Args:
        office: what this process shares between deliveries.
        assignment: what this worker may do with the delivery, and what the ledger knows of it.
        payload: the sealed delivery.
        earlier: the sealed progress that came with the message; None before the first attempt.
        timesheet: where the times of this attempt are put down.

    Raises:
        TurnedAway: nothing was begun, because the worker ends.
    """
    claim = await assignment.claim()
    timesheet.lap(Lap.CLAIM)
    timesheet.waited_s = claim.waited_s
    now = _clock(office, claim)
    if claim.standing is not Standing.OURS:
        return Overtaken(claim.standing)
    try:
        delivery = Delivery.open(payload, assignment.id, office.keyring)
        progress = Progress.open(claim.progress or earlier, assignment.id, office.keyring)
    except PostroomError as unreadable:
        return Unopened(unreadable)
    is_repeated = assignment.is_repeated and not claim.is_recorded
    attempt = Attempt(delivery, progress, possible_duplicate=is_repeated, found_in_doubt=claim.in_doubt)
    if attempt.found_in_doubt and delivery.on_unknown is OnUnknown.HOLD:
        return Hold(UnknownOutcomeException(ErrorCode.UNKNOWN_OUTCOME, {}), progress)
    if overtaken := await _try(office, assignment, attempt, now, timesheet):
        return overtaken
    return conclude(attempt, now=now(), random=office.random)


async def _try(
    office: Office, assignment: Assignment, attempt: Attempt, now: Callable[[], datetime], timesheet: Timesheet
) -> Overtaken | None:
    """Send to those who remain. An early end is no reason to forget what was learned before, or what the ledger notes."""
    delivery = attempt.delivery
    try:
        if attempt.progress.remaining(delivery.message.recipients):
            _check_wish(assignment, delivery, now())
            access = open_credentials(delivery.session, office.password_keyring)
            await _send(office, assignment, attempt, access, timesheet)
    except PostroomError as failure:
        attempt.failed(failure)
    except Overtaken as overtaken:
        return None if attempt.has_learned else overtaken
    except TurnedAway:
        if not attempt.has_learned:
            raise
    except asyncio.CancelledError:
        # Between two transactions, or before octets of which the ledger thinks that they may have left.
        task = asyncio.current_task()
        if task is None or not (attempt.has_learned or attempt.is_noted):
            raise
        task.uncancel()
    return None


def _clock(office: Office, claim: Claim) -> Callable[[], datetime]:
    """The server's clock, by which mail expires: this machine's may be wrong."""
    ahead = timedelta(0) if claim.now is None else claim.now - office.now()
    return lambda: office.now() + ahead


def _check_wish(assignment: Assignment, delivery: Delivery, now: datetime) -> None:
    if assignment.is_revoked:
        raise CancelledException(ErrorCode.CANCELLED, {})
    if delivery.expires_at is not None and now >= delivery.expires_at:
        raise ExpiredException(ErrorCode.EXPIRED, {})


async def _send(office: Office, assignment: Assignment, attempt: Attempt, access: Access, timesheet: Timesheet) -> None:
    """Compose the message and hand it to the server, in as many transactions as the server's limits ask for."""
    delivery = attempt.delivery

    async def commit(admitted: tuple[str, ...]) -> None:
        progress = if_silent(attempt, admitted).seal(delivery.id, office.keyring)
        attempt.is_noted = True
        await assignment.commit(progress, delivery.expires_at)

    try:
        attachments = await load_attachments(
            delivery.message.attachments, office.attachment_roots, office.most_attachment_bytes
        )
        content = await _compose(delivery, attachments)
    except PostroomError:
        if delivery.close_session:
            office.sessions.close_idle(access.key)
        raise
    timesheet.lap(Lap.COMPOSE)
    recipients = attempt.progress.remaining(delivery.message.recipients)
    while recipients:
        envelope = Envelope(delivery.message.sender.wire, recipients, has_utf8_headers=not content.isascii())
        report = await office.sessions.send(
            access, envelope, content, on_commit=commit, close_session=delivery.close_session
        )
        learn(attempt, report)
        timesheet.add(report.seconds)
        # A server that takes only so many recipients at a time is given the rest at once (RFC 5321 section 4.5.3.1.10).
        # Each transaction that has leftovers has admitted somebody, so this comes to an end.
        recipients = () if report.interrupted else report.leftover


async def _compose(delivery: Delivery, attachments: Sequence[bytes]) -> bytes:
    """Compose here and now, or in a thread where it would keep the other sends of this process waiting."""
    if sum(map(len, attachments)) < MOST_BYTES_COMPOSED_INLINE:
        return compose(delivery, attachments)
    return await asyncio.to_thread(compose, delivery, attachments)


def open_credentials(session: BasicEmailSessionDetails, keyring: Keyring) -> Access:
    """The session details in the clear.

    Raises:
        EmailSessionException: 300, a text cannot be opened with this worker's keys, or the password is bound to
            another server or user; no connection was made.
    """
    server, credentials = session.server_details, session.credentials
    try:
        host = check_host(_clear(server.host, keyring))
        if isinstance(credentials, Anonymous):
            return Access(host, server.port, server.use_ssl, server.allow_cleartext)
        username = _clear(credentials.username, keyring)
        place = password_place(host, server.port, use_ssl=server.use_ssl, username=username)
        password = credentials.password.open(keyring, place)
    except SealException as closed:
        facts = {"reason": "password_unreadable", "port": server.port}
        raise EmailSessionException(ErrorCode.INVALID_USER_CREDENTIALS, facts) from closed
    return Access(host, server.port, server.use_ssl, server.allow_cleartext, username, password)


def _clear(text: str | EncryptedText, keyring: Keyring) -> str:
    return text.open(keyring) if isinstance(text, EncryptedText) else text
