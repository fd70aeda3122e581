"""One attempt to deliver, step by step, against a real SMTP server."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import pytest

from postroom.testing import SmtpServer, at
from postroom_broker.ledger.claims import Standing
from postroom_contract.attachment import Attachment
from postroom_contract.delivery import Delivery, Progress
from postroom_contract.encrypted_text import EncryptedText
from postroom_contract.errors import EmailSessionException
from postroom_contract.message import EmailMessage
from postroom_contract.outcome import Outcome, State
from postroom_contract.sealing import Keyring, generate_key
from postroom_contract.session import Anonymous, BasicEmailSessionDetails, ServerDetails, UserCredentials
from postroom_worker.assignment import Overtaken, Unrecorded
from postroom_worker.conclusion import Again
from postroom_worker.delivery import MOST_BYTES_COMPOSED_INLINE, Ending, Office, Unopened, deliver, open_credentials
from postroom_worker.smtp import Limits, SessionCache
from postroom_worker.timesheet import Timesheet
from tests.support.waiting import wait_until_async

KEYS = Keyring.parse(generate_key("seal"))
PASSWORD_KEYS = Keyring.parse(generate_key("lock"))


def a_delivery(
    server: SmtpServer, *to: str, close_session: bool = False, attachments: tuple[object, ...] = ()
) -> Delivery:
    """A delivery to a server without TLS and without a login."""
    details = ServerDetails(host="127.0.0.1", port=server.port, use_ssl=False, allow_cleartext=True)
    session = BasicEmailSessionDetails(server_details=details, credentials=Anonymous())
    message = EmailMessage.accept({"to": to, "from": "clerk@example.com", "body": "Hello", "attachments": attachments})
    return Delivery(session=session, message=message, close_session=close_session)


def attempts(*deliveries: Delivery, earlier: str | None = None, roots: tuple[Path, ...] = ()) -> list[Ending]:
    """Make one attempt at each, one after the other, in one process."""

    async def run() -> list[Ending]:
        sessions = SessionCache(limits=Limits(most_recipients=2))
        office = Office(KEYS, PASSWORD_KEYS, sessions, roots, 10_000_000)
        try:
            return [
                await deliver(office, Unrecorded(each.id), each.seal(KEYS), earlier, Timesheet()) for each in deliveries
            ]
        finally:
            await sessions.aclose()

    return asyncio.run(run())


def test_a_delivery_is_opened_composed_and_sent() -> None:
    """The server's copy has the delivery's Message-ID and date, and the outcome says so."""
    with SmtpServer() as server:
        delivery = a_delivery(server, "ann@example.com")
        (result,) = attempts(delivery)
        (copy,) = server.messages

    assert isinstance(result, Outcome)
    assert (result.state, result.message_id) == (State.SENT, delivery.message_id)
    assert copy.parsed()["Message-ID"] == delivery.message_id
    assert copy.parsed()["Date"].datetime == delivery.accepted_at


def test_more_recipients_than_fit_are_sent_in_further_transactions_at_once() -> None:
    """Five recipients at two a transaction: three transactions, one attempt, nobody missing, one connection."""
    to = [f"r{number}@example.com" for number in range(5)]
    with SmtpServer() as server:
        (result,) = attempts(a_delivery(server, *to))
        carried = [message.recipients for message in server.messages]

        assert len(server.connections) == 1
    assert isinstance(result, Outcome)
    assert (result.state, result.attempts, result.accepted) == (State.SENT, 1, to)
    assert [len(recipients) for recipients in carried] == [2, 2, 1]


def test_a_retry_goes_only_to_those_who_are_not_decided() -> None:
    """Progress that another attempt brought back is honoured."""
    with SmtpServer() as server:
        delivery = a_delivery(server, "ann@example.com", "bob@example.com")
        earlier = Progress(attempts=1, accepted=("ann@example.com",)).seal(delivery.id, KEYS)
        (result,) = attempts(delivery, earlier=earlier)

        assert [message.recipients for message in server.messages] == [("bob@example.com",)]
    assert isinstance(result, Outcome)
    assert (result.state, result.attempts) == (State.SENT, 2)


@pytest.mark.parametrize(("moved", "reason"), [(False, "unknown_key"), (True, "tampered")])
def test_a_payload_that_cannot_be_opened_is_left_to_an_operator(moved: bool, reason: str) -> None:  # noqa: FBT001
    """An unknown key, or a payload that was moved under another delivery's id: 1401, and no server hears of it."""
    other = Keyring.parse(generate_key("other"))

    async def run(delivery: Delivery) -> Ending:
        office = Office(KEYS, PASSWORD_KEYS, SessionCache(), (), 1)
        if moved:
            return await deliver(office, Unrecorded("another-id"), delivery.seal(KEYS), None, Timesheet())
        return await deliver(office, Unrecorded(delivery.id), delivery.seal(other), None, Timesheet())

    with SmtpServer() as server:
        result = asyncio.run(run(a_delivery(server, "ann@example.com")))

        assert server.connections == ()
    assert isinstance(result, Unopened)
    assert (result.error.error_code, result.error.reason) == (1401, reason)


def test_a_connection_is_not_made_for_a_message_whose_attachment_is_missing(tmp_path: Path) -> None:
    """Attachments are read before the server is bothered."""
    with SmtpServer() as server:
        delivery = a_delivery(server, "ann@example.com", attachments=(str(tmp_path / "none.txt"),))
        (result,) = attempts(delivery, roots=(tmp_path,))

        assert server.connections == ()
    assert isinstance(result, Outcome)
    assert result.code == 1100


def test_close_session_closes_also_when_the_message_is_never_begun(tmp_path: Path) -> None:
    """The session an earlier message left open is ended by one that asks for it and fails before sending."""
    with SmtpServer() as server:
        missing = a_delivery(server, "ann@example.com", close_session=True, attachments=(str(tmp_path / "none.txt"),))
        again = a_delivery(server, "ann@example.com")
        attempts(a_delivery(server, "ann@example.com"), missing, again, roots=(tmp_path,))

        assert [connection.ending for connection in server.connections] == ["quit", "quit"]


def test_a_large_message_is_composed_beside_the_loop_and_arrives_whole() -> None:
    """Above the limit a thread composes; the bytes are the same."""
    content = bytes(range(256)) * (MOST_BYTES_COMPOSED_INLINE // 256 + 1)
    with SmtpServer() as server:
        delivery = a_delivery(server, "ann@example.com", attachments=(Attachment(content=content, name="big.bin"),))
        attempts(delivery)
        (part,) = server.messages[0].parsed().iter_attachments()

    assert part.get_payload(decode=True) == content


@dataclass(frozen=True)
class Obstructed(Unrecorded):
    """A delivery whose nth commit is not answered, or answered with no."""

    nth: int = 1
    answer: Standing | None = None
    commits: list[str] = field(default_factory=list)

    async def commit(self, progress: str, expires_at: datetime | None) -> None:
        self.commits.append(progress)
        if len(self.commits) == self.nth:
            if self.answer is not None:
                raise Overtaken(self.answer)
            await asyncio.Event().wait()


def stopped(assignment: Obstructed, delivery: Delivery) -> Ending:
    """Make an attempt, and stop it while it waits for the answer to its commit."""

    async def run() -> Ending:
        sessions = SessionCache(limits=Limits(most_recipients=2))
        office = Office(KEYS, PASSWORD_KEYS, sessions, (), 10_000_000)
        attempt = asyncio.create_task(deliver(office, assignment, delivery.seal(KEYS), None, Timesheet()))
        try:
            await wait_until_async(lambda: len(assignment.commits) == assignment.nth, 10)
            attempt.cancel()
            return await attempt
        finally:
            await sessions.aclose()

    return asyncio.run(run())


def test_who_got_it_is_not_forgotten_when_the_worker_is_stopped_between_two_transactions() -> None:
    """The first two have the message: the next attempt goes to the third alone, and nobody is in doubt."""
    to = [f"r{number}@example.com" for number in range(3)]
    with SmtpServer() as server:
        delivery = a_delivery(server, *to)
        result = stopped(Obstructed(delivery.id, nth=2), delivery)

        assert [message.recipients for message in server.messages] == [(to[0], to[1])]
    assert isinstance(result, Again)
    assert result.progress.accepted == (to[0], to[1])
    assert result.progress.remaining(tuple(to)) == (to[2],)
    assert result.progress.in_doubt == ()


def test_a_worker_stopped_at_its_commit_says_that_nothing_left() -> None:
    """The ledger may have noted the commit already, and would hold everybody to be in doubt."""
    with SmtpServer() as server:
        delivery = a_delivery(server, "ann@example.com")
        result = stopped(Obstructed(delivery.id), delivery)

        assert server.messages == ()
    assert isinstance(result, Again)
    assert (result.progress.in_doubt, result.progress.possible_duplicate) == ((), False)


def test_who_got_it_is_not_forgotten_when_the_message_is_lost_to_another() -> None:
    """Overtaken before the second transaction: what the first achieved is told all the same."""
    to = [f"r{number}@example.com" for number in range(3)]

    async def run(delivery: Delivery) -> Ending:
        office = Office(KEYS, PASSWORD_KEYS, SessionCache(limits=Limits(most_recipients=2)), (), 10_000_000)
        try:
            assignment = Obstructed(delivery.id, nth=2, answer=Standing.LOST)
            return await deliver(office, assignment, delivery.seal(KEYS), None, Timesheet())
        finally:
            await office.sessions.aclose()

    with SmtpServer() as server:
        result = asyncio.run(run(a_delivery(server, *to)))
    assert isinstance(result, Again)
    assert result.progress.accepted == (to[0], to[1])


def test_a_server_that_is_busy_is_come_back_to() -> None:
    """A temporary reply asks for another call, with what was achieved."""
    with SmtpServer(rules=[at("END_OF_DATA").reply("451 4.3.0 Busy")]) as server:
        (result,) = attempts(a_delivery(server, "ann@example.com"))

    assert isinstance(result, Again)
    assert 22 <= result.after_s <= 38
    assert result.progress.attempts == 1


def details(password: EncryptedText, host: str = "mx.example.com") -> BasicEmailSessionDetails:
    """Session details for the clerk."""
    return BasicEmailSessionDetails(
        server_details=ServerDetails(host=host, port=465),
        credentials=UserCredentials(username="clerk", password=password),
    )


def test_a_password_opens_for_its_own_server_only() -> None:
    """Another host with a stolen ciphertext gets 300, and no connection is made."""
    place = {"host": "MX.example.com", "port": 465, "username": "clerk"}
    password = EncryptedText.encrypt("secret", keyring=PASSWORD_KEYS, **place)  # type: ignore[arg-type]

    assert open_credentials(details(password), PASSWORD_KEYS).password == "secret"
    with pytest.raises(EmailSessionException) as caught:
        open_credentials(details(password, host="attacker.example"), PASSWORD_KEYS)
    assert (caught.value.error_code, caught.value.reason) == (300, "password_unreadable")


def test_encrypted_host_and_user_name_are_opened_too() -> None:
    """The block allows both to be encrypted text."""
    ring = PASSWORD_KEYS
    password = EncryptedText.encrypt("secret", keyring=ring, host="mx.example.com", port=465, username="clerk")
    session = BasicEmailSessionDetails(
        server_details=ServerDetails(host=EncryptedText.encrypt("mx.example.com", keyring=ring), port=465),
        credentials=UserCredentials(username=EncryptedText.encrypt("clerk", keyring=ring), password=password),
    )
    access = open_credentials(session, ring)

    assert (access.host, access.username, access.password) == ("mx.example.com", "clerk", "secret")
