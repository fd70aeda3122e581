"""What an application may rely on, for the real mailer and for its double: one set of tests for both.

The real one runs on a real Redis with a stand-in worker. What only the real one can do (threads, forks, a Redis that goes
away) follows after.
"""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import pytest

from postroom import (
    ArgumentException,
    BasicEmailSessionDetails,
    BrokerUnavailable,
    Cancelled,
    CancelledException,
    EmailMessage,
    EmailSessionException,
    Failed,
    IdempotencyException,
    Keyring,
    Mailer,
    Partial,
    PostroomError,
    PropertyNullException,
    PropertyValueOutOfRangeException,
    Sent,
    SmtpCommandException,
    State,
    UnencryptedTextException,
    Unknown,
    UnknownOutcomeException,
)
from postroom.mailer import AnyMailer
from postroom.settings import ProducerSettings
from postroom.testing import OutboxMailer, free_port
from postroom_broker import keys
from postroom_broker.ledger.record import record_key
from postroom_broker.transport.delays import MOST_PER_CALL
from postroom_broker.transport.scripts import PROMOTE
from postroom_contract.delivery import Delivery
from postroom_contract.names import QUEUES
from postroom_contract.outcome import Outcome, Refusal, Report, report_of_error
from tests.support import valkey as direct
from tests.support.payloads import BLOCK_MESSAGE, BLOCK_SESSION, MAIL_KEYS, PASSWORD, message_with, session_with
from tests.support.redis_proxy import Fault, RedisProxy
from tests.support.stand_in_worker import StandInWorker
from tests.support.valkey import ValkeyServer
from tests.support.waiting import wait_until

# Celery's own backend calls what redis-py has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:Call to deprecated setex:DeprecationWarning")

ROOT = Path(__file__).parents[2]
SESSIONS = {"office": BasicEmailSessionDetails.accept(BLOCK_SESSION)}
DETAILS = BasicEmailSessionDetails.accept(BLOCK_SESSION)


class Office(Protocol):
    """A mailer, and the other side of it as a test needs it."""

    @property
    def mailer(self) -> AnyMailer:
        """What is tested."""

    def delivered(self) -> list[Delivery]:
        """What a worker was given since the last call; from now on it is decided."""

    def fail_next(self, error: PostroomError) -> None:
        """Let the next message fail."""

    def refuse(self, address: str) -> None:
        """Let the server refuse a recipient from now on."""

    def hold_next(self) -> None:
        """Let the next message stay queued until `delivered` is called, if it ever is."""

    def let_time_come(self) -> None:
        """Queue what is due by now."""


class DoubleOffice:
    """The double: its outbox is the other side."""

    def __init__(self) -> None:
        self.mailer = OutboxMailer(SESSIONS)

    def delivered(self) -> list[Delivery]:
        delivered, self.mailer.outbox[:] = list(self.mailer.outbox), []
        return delivered

    def fail_next(self, error: PostroomError) -> None:
        self.mailer.fail_next(error)

    def refuse(self, address: str) -> None:
        self.mailer.refuse(address)

    def hold_next(self) -> None:
        self.mailer.hold_next()

    def let_time_come(self) -> None:
        self.mailer.send_due(datetime.now(UTC))


class RealOffice:
    """The real mailer on a real Redis, and a worker without SMTP."""

    def __init__(self, url: str, worker: StandInWorker) -> None:
        self.mailer = mailer_at(url)
        self._url = url
        self._worker = worker
        self._error: PostroomError | None = None
        self._refused: set[str] = set()

    def delivered(self) -> list[Delivery]:
        taken = [self._worker.take() for _ in range(queued(self._url))]
        return [delivery for delivery in taken if self._work_on(delivery)]

    def fail_next(self, error: PostroomError) -> None:
        self._error = error

    def refuse(self, address: str) -> None:
        self._refused.add(address)

    def hold_next(self) -> None:
        """Nothing is sent before `delivered` is called."""

    def let_time_come(self) -> None:
        with direct.connect(self._url) as client:
            PROMOTE(client, [keys.DELAYED, keys.DELAYED_MESSAGES], [MOST_PER_CALL])

    def _work_on(self, delivery: Delivery) -> bool:
        """Do with the ledger what a worker does: leave alone what is over, and note the end."""
        with direct.connect(self._url) as client:
            if client.hexists(record_key(delivery.id), "ended"):
                return False
            outcome = self._end(delivery)
            self._worker.store(outcome)
            client.hset(record_key(delivery.id), mapping={"state": outcome.state.value, "ended": "60"})
        return True

    def _end(self, delivery: Delivery) -> Outcome:
        error, self._error = self._error, None
        reply = Refusal(code=550, enhanced="5.1.1", text="No such user")
        if error is not None:
            report = Report(message_id=delivery.message_id, attempts=1, error=report_of_error(error))
            is_unknown = isinstance(error, UnknownOutcomeException)
            return (Unknown if is_unknown else Failed)(delivery.id, error.error_code, report=report)
        refused = {address: reply for address in delivery.message.recipients if address in self._refused}
        accepted = tuple(address for address in delivery.message.recipients if address not in refused)
        facts = {"command": "RCPT", "smtp_code": 550, "enhanced_code": "5.1.1", "text": "No such user"}
        told = report_of_error(SmtpCommandException(None, facts)) if refused else None
        report = Report(message_id=delivery.message_id, accepted=accepted, refused=refused, attempts=1, error=told)
        kinds: list[type[Outcome]] = [Sent, Partial, Failed]
        kind = kinds[bool(refused) + (not accepted)]
        return kind(delivery.id, 1301 if refused else None, report=report)


def mailer_at(url: str, result_url: str | None = None) -> Mailer:
    """A mailer for a Redis."""
    return Mailer(ProducerSettings(url, result_url or url, MAIL_KEYS, SESSIONS))


def queued(url: str) -> int:
    """How many messages are in all queues."""
    with direct.connect(url) as client:
        return sum(int(client.llen(queue)) for queue in QUEUES)


@pytest.fixture(params=["double", "real"])
def office(request: pytest.FixtureRequest) -> Iterator[Office]:
    """Each test runs with the double and with the real thing."""
    if request.param == "double":
        yield DoubleOffice()
        return
    url = request.getfixturevalue("redis_url")
    with StandInWorker(url, MAIL_KEYS) as worker:
        real = RealOffice(url, worker)
        yield real
        real.mailer.close()


@pytest.mark.parametrize(
    ("message", "session"),
    [
        (BLOCK_MESSAGE, BLOCK_SESSION),
        (EmailMessage.accept(BLOCK_MESSAGE), DETAILS),
        (BLOCK_MESSAGE, "office"),
    ],
)
def test_a_message_arrives_as_it_was_given(office: Office, message: Any, session: Any) -> None:
    """As models, as the block's JSON, or with a session's name: a worker opens the same delivery."""
    receipt = office.mailer.send(message, session)
    (delivery,) = office.delivered()

    assert delivery.id == receipt.id
    assert delivery.message == EmailMessage.accept(BLOCK_MESSAGE)
    assert delivery.session == DETAILS
    assert not delivery.close_session


@pytest.mark.parametrize(("given", "meant"), [(True, True), (False, False), (None, False)])
def test_close_session(office: Office, given: bool | None, meant: bool) -> None:  # noqa: FBT001 - a table's value
    """Blank means false, as in the block."""
    office.mailer.send(BLOCK_MESSAGE, BLOCK_SESSION, close_session=given)

    assert office.delivered()[0].close_session is meant


def test_a_sent_message(office: Office) -> None:
    """State, outcome and result tell the same; the receipt can be had again by its id."""
    receipt = office.mailer.send(message_with(Bcc=["b@example.com"]), BLOCK_SESSION)
    (delivery,) = office.delivered()
    outcome = office.mailer.receipt(receipt.id).outcome(timeout=5)

    assert isinstance(outcome, Sent)
    assert receipt.state() is State.SENT
    assert outcome == receipt.result(timeout=5)
    assert outcome.as_dict() == {
        "id": receipt.id,
        "state": "sent",
        "message_id": delivery.message_id,
        "accepted": ["recipient@outlook.com", "b@example.com"],
        "refused": {},
        "attempts": 1,
        "possible_duplicate": False,
        "error": None,
    }


@pytest.mark.parametrize("timeout", [0, None])
def test_an_id_nobody_knows(office: Office, timeout: float | None) -> None:
    """It is not found, and waiting for it ends, however long it was to last."""
    receipt = office.mailer.receipt("00000000-0000-4000-8000-000000000000")

    assert receipt.state() is State.NOT_FOUND
    with pytest.raises(TimeoutError, match="no trace of delivery 00000000"):
        receipt.outcome(timeout)


@pytest.mark.parametrize(
    "error",
    [
        EmailSessionException(201, {"reason": "certificate_expired", "port": 465, "host": "smtp.gmail.com"}),
        SmtpCommandException(1301, {"command": "DATA", "smtp_code": 554, "text": "spam"}),
        UnknownOutcomeException(),
    ],
)
def test_a_message_that_fails(office: Office, error: PostroomError) -> None:
    """The outcome holds the typed error, and `result` raises it; the next message is sent."""
    office.fail_next(error)
    receipt = office.mailer.send(BLOCK_MESSAGE, BLOCK_SESSION)
    office.delivered()
    outcome = receipt.outcome(timeout=5)

    assert outcome.state is (State.UNKNOWN if isinstance(error, UnknownOutcomeException) else State.FAILED)
    assert (outcome.code, outcome.accepted) == (error.error_code, [])
    with pytest.raises(type(error)) as caught:
        receipt.result(timeout=5)
    assert caught.value.args == error.args
    after = office.mailer.send(BLOCK_MESSAGE, BLOCK_SESSION)
    office.delivered()
    assert after.state() is State.SENT


def test_a_refused_recipient(office: Office) -> None:
    """Refused among others the message is partial; refused alone it fails."""
    office.refuse("b@example.com")
    both = office.mailer.send(message_with(Cc=["b@example.com"]), BLOCK_SESSION)
    alone = office.mailer.send(message_with(To=["b@example.com"]), BLOCK_SESSION)
    office.delivered()
    partial = both.result(timeout=5)

    assert isinstance(partial, Partial)
    assert partial.accepted == ["recipient@outlook.com"]
    assert partial.refused == {"b@example.com": Refusal(code=550, enhanced="5.1.1", text="No such user")}
    assert alone.state() is State.FAILED
    with pytest.raises(SmtpCommandException) as caught:
        alone.result(timeout=5)
    assert (caught.value.smtp_code, caught.value.enhanced_code) == (550, "5.1.1")


BAD: list[tuple[Any, Any, type[PostroomError], list[str]]] = [
    (None, BLOCK_SESSION, PropertyNullException, ["Message"]),
    (BLOCK_MESSAGE, None, PropertyNullException, ["Session"]),
    (None, None, PropertyNullException, ["Session", "Message"]),
    ("text", BLOCK_SESSION, ArgumentException, ["Message"]),
    (message_with(To=["a b"]), BLOCK_SESSION, SmtpCommandException, ["Message.To[0].Address"]),
    (
        message_with(To=None, Priority="High"),
        session_with(credentials={"Username": "u", "Password": PASSWORD}),
        UnencryptedTextException,
        ["Session.Credentials.Password", "Message.To", "Message.Priority"],
    ),
    (BLOCK_MESSAGE, "nowhere", ArgumentException, []),
]


@pytest.mark.parametrize(("message", "session", "kind", "where"), BAD)
def test_bad_input_is_refused_at_once(
    office: Office, message: Any, session: Any, kind: type[PostroomError], where: list[str]
) -> None:
    """The block's exception with all mistakes, session first; nothing is handed over."""
    with pytest.raises(PostroomError) as caught:
        office.mailer.send(message, session)

    assert type(caught.value) is kind
    assert [mistake["property"] for mistake in caught.value.mistakes] == where
    assert office.delivered() == []


def test_a_message_may_be_checked_without_sending_it(office: Office) -> None:
    """`check` refuses what `send` would, options and the session's name included, and queues nothing."""
    office.mailer.check(BLOCK_MESSAGE, "office", send_at="2030-03-01T09:00:00Z", idempotency_key="order 17")
    for message, session, options in (
        (message_with(To=["a b"]), "office", {}),
        (BLOCK_MESSAGE, "nobody", {}),
        (BLOCK_MESSAGE, "office", {"send_at": "tomorrow"}),
        (BLOCK_MESSAGE, "office", {"idempotency_key": ""}),
    ):
        with pytest.raises(PostroomError):
            office.mailer.check(message, session, **options)  # type: ignore[arg-type]  # a table's values

    assert office.delivered() == []


def test_a_wish_to_close_that_is_none(office: Office) -> None:
    """A text like "false" is read as what it says, and nonsense is refused: it must not mean true."""
    office.mailer.send(BLOCK_MESSAGE, BLOCK_SESSION, close_session="false")  # type: ignore[arg-type]
    with pytest.raises(ArgumentException):
        office.mailer.send(BLOCK_MESSAGE, BLOCK_SESSION, close_session="perhaps")  # type: ignore[arg-type]

    assert [delivery.close_session for delivery in office.delivered()] == [False]


def test_an_unknown_session_name_is_told_with_the_known_ones(office: Office) -> None:
    """A typing error shows itself."""
    with pytest.raises(ArgumentException) as caught:
        office.mailer.send(BLOCK_MESSAGE, "ofice")

    assert (caught.value.facts["property"], caught.value.reason) == ("Session", "unknown_value")
    assert "known: office" in str(caught.value)


def test_sending_inside_an_event_loop(office: Office) -> None:
    """`asend` does what `send` does, many at a time, and raises the same."""

    async def send_ten() -> list[str]:
        receipts = await asyncio.gather(
            *(office.mailer.asend(BLOCK_MESSAGE, "office", close_session=True) for _ in range(10))
        )
        with pytest.raises(ArgumentException):
            await office.mailer.asend(BLOCK_MESSAGE, "nowhere")
        return [receipt.id for receipt in receipts]

    ids = asyncio.run(send_ten())
    delivered = office.delivered()

    assert {delivery.id for delivery in delivered} == set(ids)
    assert len(ids) == 10
    assert all(delivery.close_session for delivery in delivered)


def test_a_mailer_is_a_context_manager(office: Office) -> None:
    """Leaving closes it; closing twice is no mistake."""
    with office.mailer as mailer:
        assert mailer is office.mailer
        mailer.send(BLOCK_MESSAGE, BLOCK_SESSION)
    office.mailer.close()

    assert len(office.delivered()) == 1


# ---- times, and calling back

SOON = timedelta(hours=1)


def test_a_scheduled_message_waits_until_its_time_comes(office: Office) -> None:
    """Scheduled and listed with its time, not decided; then it is sent like any other."""
    due_at = datetime.now(UTC).replace(microsecond=0) + SOON
    receipt = office.mailer.send(BLOCK_MESSAGE, BLOCK_SESSION, send_at=due_at)
    office.let_time_come()

    assert receipt.state() is State.SCHEDULED
    assert listed(office) == [(receipt.id, due_at)]
    with pytest.raises(TimeoutError, match="scheduled"):
        receipt.outcome(timeout=0)
    assert receipt.reschedule(datetime.now(UTC) - SOON)
    office.let_time_come()
    (delivery,) = office.delivered()
    assert (delivery.id, delivery.send_at) == (receipt.id, due_at)
    assert isinstance(receipt.outcome(timeout=5), Sent)
    assert listed(office) == []


def test_a_message_may_be_moved_while_it_waits(office: Office) -> None:
    """The list is in the order of the new times; what does not wait, or never did, cannot be moved."""
    now = datetime.now(UTC).replace(microsecond=0)
    one, other = (office.mailer.send(BLOCK_MESSAGE, BLOCK_SESSION, send_at=now + SOON * n) for n in (1, 2))

    assert one.reschedule((now + 3 * SOON).isoformat())
    assert listed(office) == [(other.id, now + 2 * SOON), (one.id, now + 3 * SOON)]
    one.cancel()
    assert not one.reschedule(now + SOON)
    assert not office.mailer.receipt("00000000-0000-4000-8000-000000000000").reschedule(now + SOON)
    with pytest.raises(ArgumentException, match="SendAt is not valid"):
        other.reschedule("2030-03-01T09:00:00")


def test_a_time_that_has_passed_is_now(office: Office) -> None:
    """Late is better than never, unless an expiry says otherwise."""
    receipt = office.mailer.send(BLOCK_MESSAGE, BLOCK_SESSION, send_at=datetime.now(UTC) - SOON)
    office.delivered()

    assert receipt.state() is State.SENT


@pytest.mark.parametrize("send_at", [None, datetime(2090, 1, 1, tzinfo=UTC)], ids=["queued", "scheduled"])
def test_a_message_that_is_called_back_is_never_sent(office: Office, send_at: datetime | None) -> None:
    """True, as often as it is asked; the outcome tells, at once, and no worker sends it."""
    office.hold_next()
    receipt = office.mailer.send(BLOCK_MESSAGE, BLOCK_SESSION, send_at=send_at)

    assert [receipt.cancel(), receipt.cancel()] == [True, True]
    assert receipt.state() is State.CANCELLED
    outcome = receipt.outcome(timeout=None)
    assert isinstance(outcome, Cancelled)
    assert (outcome.code, outcome.accepted, outcome.attempts) == (1304, [], 0)
    with pytest.raises(CancelledException, match="called the message back"):
        receipt.result(timeout=None)
    assert listed(office) == []
    if isinstance(office, RealOffice):  # the double's outbox shows what was handed over, called back or not
        assert office.delivered() == []
    assert receipt.state() is State.CANCELLED


def test_it_is_too_late_to_call_back_what_was_sent(office: Office) -> None:
    """False, and the outcome stays; what nobody knows cannot be called back either."""
    receipt = office.mailer.send(BLOCK_MESSAGE, BLOCK_SESSION)
    office.delivered()

    assert not receipt.cancel()
    assert receipt.state() is State.SENT
    assert isinstance(receipt.outcome(timeout=5), Sent)
    assert not office.mailer.receipt("00000000-0000-4000-8000-000000000000").cancel()


def test_what_is_not_held_cannot_be_released(office: Office) -> None:
    """Queued or scheduled, it goes its own way."""
    office.hold_next()
    queued_one = office.mailer.send(BLOCK_MESSAGE, BLOCK_SESSION)
    scheduled = office.mailer.send(BLOCK_MESSAGE, BLOCK_SESSION, send_at=datetime.now(UTC) + SOON)

    assert [queued_one.release(), scheduled.release()] == [False, False]
    assert scheduled.state() is State.SCHEDULED


@pytest.mark.parametrize(
    ("wishes", "kind", "told"),
    [
        ({"send_at": "2030-03-01T09:00:00"}, ArgumentException, "SendAt is not valid. It needs an offset from UTC"),
        ({"send_at": datetime(2030, 3, 1, 9)}, ArgumentException, "SendAt is not valid. It needs an offset from UTC"),  # noqa: DTZ001 -- that is the point
        ({"send_at": "tomorrow"}, ArgumentException, "SendAt is not valid. Write it as ISO 8601"),
        ({"send_at": 1_900_000_000}, ArgumentException, "SendAt is not valid. Write it as ISO 8601"),
        (
            {"expires_at": "2020-01-01T00:00:00Z"},
            PropertyValueOutOfRangeException,
            "ExpiresAt is out of range. It lies",
        ),
        (
            {"send_at": "2090-01-01T00:00:00Z", "expires_at": "2089-01-01T00:00:00Z"},
            ArgumentException,
            "ExpiresAt is not valid. It lies before SendAt.",
        ),
        ({"on_unknown": "retry"}, ArgumentException, "OnUnknown is not valid. It is resend or hold."),
        ({"idempotency_key": ""}, ArgumentException, "IdempotencyKey is not valid. A key is a text of 1 to 256"),
        ({"idempotency_key": "k" * 257}, ArgumentException, "IdempotencyKey is not valid."),
        ({"idempotency_key": 17}, ArgumentException, "IdempotencyKey is not valid."),
        ({"receipt_id": "mine"}, ArgumentException, "ReceiptId is not valid. A receipt's id is a UUID."),
    ],
)
def test_a_wish_that_is_none_is_refused(
    office: Office, wishes: dict[str, Any], kind: type[PostroomError], told: str
) -> None:
    """In one line that says how to write it; nothing is handed over."""
    with pytest.raises(kind) as caught:
        office.mailer.send(BLOCK_MESSAGE, BLOCK_SESSION, **wishes)

    assert str(caught.value).startswith(told)
    assert "\n" not in str(caught.value)
    assert (office.delivered(), listed(office)) == ([], [])


def test_a_misspelt_wish_is_refused(office: Office) -> None:
    """`sent_at` would otherwise send at once."""
    wishes: dict[str, Any] = {"sent_at": LATER}
    with pytest.raises(TypeError, match="no keyword 'sent_at'"):
        office.mailer.send(BLOCK_MESSAGE, BLOCK_SESSION, **wishes)
    with pytest.raises(TypeError, match="no keyword 'sent_at'"):
        asyncio.run(office.mailer.asend(BLOCK_MESSAGE, BLOCK_SESSION, **wishes))

    assert (office.delivered(), listed(office)) == ([], [])


# ---- sending the same again


def test_a_key_sends_once(office: Office) -> None:
    """The second call gives the first receipt, before and after the message was sent, whatever became of it."""
    sends = [office.mailer.send(BLOCK_MESSAGE, BLOCK_SESSION, idempotency_key="order 17") for _ in range(2)]
    delivered = office.delivered()
    later = office.mailer.send(BLOCK_MESSAGE, BLOCK_SESSION, idempotency_key="order 17")
    cancelled = office.mailer.send(BLOCK_MESSAGE, "office", idempotency_key="order 18", send_at=LATER)
    cancelled.cancel()
    again = office.mailer.send(BLOCK_MESSAGE, "office", idempotency_key="order 18", send_at=LATER)

    assert {receipt.id for receipt in (*sends, later)} == {delivered[0].id}
    assert len(delivered) == 1
    assert isinstance(later.outcome(timeout=5), Sent)
    assert (again.id, again.state()) == (cancelled.id, State.CANCELLED)


LATER = datetime(2090, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "other",
    [
        {"message": message_with(Subject="Another")},
        {"session": session_with({"Port": 587})},
        {"close_session": True},
        {"send_at": LATER},
        {"on_unknown": "hold"},
    ],
    ids=lambda other: next(iter(other)),
)
def test_a_key_that_was_used_for_another_message_is_refused(office: Office, other: dict[str, Any]) -> None:
    """The error names the receipt that the key belongs to; nothing is handed over, and the first one is not disturbed."""
    first = office.mailer.send(BLOCK_MESSAGE, BLOCK_SESSION, idempotency_key="order 17")
    asked = {"message": BLOCK_MESSAGE, "session": BLOCK_SESSION, **other}
    with pytest.raises(IdempotencyException) as caught:
        office.mailer.send(**asked, idempotency_key="order 17")

    assert (caught.value.error_code, caught.value.facts["receipt_id"]) == (1006, first.id)
    assert [delivery.id for delivery in office.delivered()] == [first.id]


def test_other_keys_and_none_are_other_messages(office: Office) -> None:
    """Without a key the same message goes out as often as it is sent."""
    for key in (None, None, "a", "A", "a "):
        office.mailer.send(BLOCK_MESSAGE, BLOCK_SESSION, idempotency_key=key)

    assert len({delivery.id for delivery in office.delivered()}) == 5


def test_a_receipt_id_sends_the_same_message_once(office: Office) -> None:
    """After an answer that was lost: the id of the error, or any UUID of the caller's own. Another message is refused."""
    receipt_id = "0d6b2f6e-6a0e-4a52-8f43-4b2f7a3a9d11"
    sends = [office.mailer.send(BLOCK_MESSAGE, BLOCK_SESSION, receipt_id=receipt_id) for _ in range(2)]
    with pytest.raises(IdempotencyException):
        office.mailer.send(message_with(Subject="Another"), BLOCK_SESSION, receipt_id=receipt_id)
    (delivery,) = office.delivered()
    late = office.mailer.send(BLOCK_MESSAGE, BLOCK_SESSION, receipt_id=receipt_id)

    assert {receipt.id for receipt in (*sends, late)} == {receipt_id} == {delivery.id}
    assert office.delivered() == []
    assert late.state() is State.SENT


def listed(office: Office) -> list[tuple[str, datetime]]:
    """What waits for its time."""
    return [(receipt.id, due_at) for receipt, due_at in office.mailer.scheduled()]


# ---- the real one only


def test_nothing_readable_is_in_redis(redis_url: str) -> None:
    """Whoever reads the whole server finds ids and states, and not one word of the message or its session."""
    mailer = mailer_at(redis_url)
    receipt = mailer.send(message_with(Subject="canary subject", Cc=["canary@example.com"]), BLOCK_SESSION)
    mailer.close()
    with direct.connect(redis_url) as client:
        queues, records = list(client.scan_iter(_type="list")), list(client.scan_iter(_type="hash"))
        fields = [part for key in records for field in client.hgetall(key).items() for part in field]
        everything = b"".join([*queues, *records, *(client.lindex(key, 0) for key in queues), *fields])

    assert (len(queues), len(records), client.dbsize()) == (1, 1, 2)
    assert receipt.id.encode() in everything
    assert not any(word in everything for word in (b"canary", b"gmail", b"outlook", b"Example"))


@pytest.mark.parametrize(
    ("priority", "queue"), [("Urgent", "postroom.urgent"), (None, "postroom.normal"), (1, "postroom.bulk")]
)
def test_each_priority_has_its_queue(redis_url: str, priority: object, queue: str) -> None:
    """Urgent mail does not stand behind bulk mail."""
    with mailer_at(redis_url) as mailer:
        mailer.send(message_with(Priority=priority), BLOCK_SESSION)
    with direct.connect(redis_url) as client:
        assert client.llen(queue) == 1


def test_it_shows_where_and_for_which_sessions_without_a_password() -> None:
    """What a person at a prompt wants to know."""
    settings = ProducerSettings("redis://:canary@b:1/2", "redis://b:1/2", MAIL_KEYS, SESSIONS)

    assert repr(Mailer(settings)) == "Mailer(redis://b:1/2, sessions=['office'])"


def test_redis_away() -> None:
    """The error says that nothing was queued and which id it would have had; asking for a state fails alike."""
    mailer = mailer_at(f"redis://127.0.0.1:{free_port()}/0")
    with pytest.raises(BrokerUnavailable) as caught:
        mailer.send(BLOCK_MESSAGE, BLOCK_SESSION)
    assert not caught.value.maybe_enqueued
    assert caught.value.receipt_id
    with pytest.raises(BrokerUnavailable):
        mailer.receipt(caught.value.receipt_id).state()


def test_results_in_another_redis(redis_url: str, valkey_program: Any, tmp_path: Any) -> None:
    """The task is with the broker; state and outcome are asked of the other server."""
    with ValkeyServer(valkey_program, tmp_path) as results, mailer_at(redis_url, results.url) as mailer:
        receipt = mailer.send(BLOCK_MESSAGE, BLOCK_SESSION)

        assert receipt.state() is State.QUEUED
        assert queued(redis_url) == 1
        with direct.connect(redis_url) as client:
            assert not list(client.scan_iter("celery-task-meta-*"))


def test_an_outcome_ends_the_wait(redis_url: str) -> None:
    """Waiting threads get what the worker stores meanwhile."""
    with StandInWorker(redis_url, MAIL_KEYS) as worker, mailer_at(redis_url) as mailer:
        receipts = [mailer.send(BLOCK_MESSAGE, BLOCK_SESSION) for _ in range(5)]
        outcomes: list[Outcome] = []
        threads = [
            threading.Thread(target=lambda one=one: outcomes.append(one.outcome(timeout=30))) for one in receipts
        ]
        for thread in threads:
            thread.start()
        for _ in receipts:
            worker.work()
        for thread in threads:
            thread.join()

    assert {outcome.id for outcome in outcomes} == {receipt.id for receipt in receipts}


def test_threads_share_a_mailer(redis_url: str) -> None:
    """Twenty threads send at once through one mailer; every message is queued once, under its own id."""
    ids: list[str] = []
    start = threading.Barrier(20)

    def send(mailer: Mailer) -> None:
        start.wait()
        ids.extend(mailer.send(BLOCK_MESSAGE, "office").id for _ in range(10))

    with mailer_at(redis_url) as mailer:
        in_parallel(20, lambda: send(mailer))

    assert len(set(ids)) == 200
    assert queued(redis_url) == 200


def test_threads_that_send_with_one_key_send_once(redis_url: str) -> None:
    """Twenty of them at the same moment: one message, and all have its receipt."""
    ids: list[str] = []
    start = threading.Barrier(20)

    def send(mailer: Mailer) -> None:
        start.wait()
        ids.append(mailer.send(BLOCK_MESSAGE, "office", idempotency_key="order 17").id)

    with mailer_at(redis_url) as mailer:
        in_parallel(20, lambda: send(mailer))

    assert (len(ids), len(set(ids))) == (20, 1)
    assert queued(redis_url) == 1


def test_a_key_is_known_after_the_key_ring_was_rotated(redis_url: str) -> None:
    """New key behind, then in front: at each step the same idempotency key and receipt id find the first message."""
    old, new = {"m1": b"m" * 32}, {"m2": b"n" * 32}
    rings = [Keyring(old), Keyring({**old, **new}), Keyring({**new, **old})]
    ids = []
    for ring in rings:
        with Mailer(ProducerSettings(redis_url, redis_url, ring, SESSIONS)) as mailer:
            first = mailer.send(BLOCK_MESSAGE, "office", idempotency_key="order 17")
            again = mailer.send(BLOCK_MESSAGE, "office", receipt_id=first.id)
            ids += [first.id, again.id]
            with pytest.raises(IdempotencyException):
                mailer.send(message_with(Subject="Another"), "office", idempotency_key="order 17")

    assert len(set(ids)) == 1
    assert queued(redis_url) == 1


def test_a_key_cannot_be_read_in_redis(redis_url: str) -> None:
    """Order numbers and addresses make good keys and bad secrets: only a keyed hash is stored."""
    with mailer_at(redis_url) as mailer, direct.connect(redis_url) as client:
        mailer.send(BLOCK_MESSAGE, "office", idempotency_key="ann@example.com")
        names = b" ".join(client.scan_iter())

    assert b"postroom.idempotency." in names
    assert not any(word in names for word in (b"ann", b"example", b"ann@example.com".hex().encode()))


@pytest.mark.parametrize("fault", [Fault.LOSE_ANSWER, Fault.CUT_AFTER, Fault.SWALLOW, Fault.CUT_BEFORE])
def test_a_message_whose_answer_was_lost_is_sent_again_by_its_id(
    redis_url: str, valkey: ValkeyServer, fault: Fault
) -> None:
    """Whether the first one arrived or not: afterwards it is there once."""
    with mailer_at(redis_url) as mailer, direct.connect(redis_url) as client:
        mailer.send(BLOCK_MESSAGE, "office")  # the server knows the script
        client.delete(*QUEUES)
        with (
            RedisProxy(valkey.port, b"EVALSHA", fault) as proxy,
            mailer_at(f"{proxy.url}?socket_timeout=0.3") as cut_off,
            pytest.raises(BrokerUnavailable) as caught,
        ):
            cut_off.send(BLOCK_MESSAGE, "office")
        again = mailer.send(BLOCK_MESSAGE, "office", receipt_id=caught.value.receipt_id)

    assert caught.value.maybe_enqueued
    assert again.id == caught.value.receipt_id
    assert queued(redis_url) == 1


def test_calling_back_ends_the_wait_where_outcomes_are_kept_apart(
    redis_url: str, valkey_program: Path, tmp_path: Path
) -> None:
    """Whoever waits for an outcome on a server of its own gets it from the ledger."""
    with ValkeyServer(valkey_program, tmp_path) as results, mailer_at(redis_url, results.url) as mailer:
        receipt = mailer.send(BLOCK_MESSAGE, BLOCK_SESSION, send_at=LATER)
        outcomes: list[Outcome] = []
        waiting = threading.Thread(target=lambda: outcomes.append(receipt.outcome(timeout=30)))
        with direct.connect(results.url) as client:
            waiting.start()
            wait_until(client.pubsub_channels, 30, "somebody to wait")
            assert receipt.cancel()
            waiting.join()

    assert [type(outcome) for outcome in outcomes] == [Cancelled]


def in_parallel(count: int, work: Callable[[], None]) -> None:
    """Run something in so many threads, to their end."""
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


FORKED = """
import os, sys
from postroom import Mailer
from tests.support.payloads import BLOCK_MESSAGE, BLOCK_SESSION

mailer = Mailer.from_env()
mailer.send(BLOCK_MESSAGE, BLOCK_SESSION)  # a connection stands before the fork, as after gunicorn's preload
children = []
for _ in range(4):
    pid = os.fork()
    if pid == 0:
        ids = {mailer.send(BLOCK_MESSAGE, BLOCK_SESSION).id for _ in range(25)}
        states = {mailer.receipt(one).state().value for one in ids}
        os._exit(0 if (len(ids), states) == (25, {"queued"}) else 1)
    children.append(pid)
ids = [mailer.send(BLOCK_MESSAGE, BLOCK_SESSION).id for _ in range(25)]
assert {mailer.receipt(one).state().value for one in ids} == {"queued"}
codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
sys.exit(any(codes))
"""


def test_forked_processes_share_nothing(redis_url: str) -> None:
    """Parent and children go on with the same mailer at the same time, and no answer reaches the wrong one."""
    variables = {"POSTROOM_BROKER_URL": redis_url, "POSTROOM_KEYS": "m1:bW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW0="}
    run = subprocess.run(
        [sys.executable, "-c", FORKED], env=variables, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )

    assert run.returncode == 0, run.stderr
    assert queued(redis_url) == 1 + 4 * 25 + 25
