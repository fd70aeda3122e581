"""What an application may rely on, for the real mailer and for its double: one set of tests for both.

The real one runs on a real Redis with a stand-in worker. What only the real one can do (threads, forks, a Redis that goes
away) follows after.
"""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from postroom import (
    ArgumentException,
    BasicEmailSessionDetails,
    BrokerUnavailable,
    EmailMessage,
    EmailSessionException,
    Failed,
    Mailer,
    Partial,
    PostroomError,
    PropertyNullException,
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
from postroom_contract.delivery import Delivery
from postroom_contract.names import QUEUES
from postroom_contract.outcome import Outcome, Refusal, Report, report_of_error
from tests.support import valkey as direct
from tests.support.payloads import BLOCK_MESSAGE, BLOCK_SESSION, MAIL_KEYS, PASSWORD, message_with, session_with
from tests.support.stand_in_worker import StandInWorker
from tests.support.valkey import ValkeyServer

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


class RealOffice:
    """The real mailer on a real Redis, and a worker without SMTP."""

    def __init__(self, url: str, worker: StandInWorker) -> None:
        self.mailer = mailer_at(url)
        self._url = url
        self._worker = worker
        self._error: PostroomError | None = None
        self._refused: set[str] = set()

    def delivered(self) -> list[Delivery]:
        return [self._worker.work(self._end) for _ in range(queued(self._url))]

    def fail_next(self, error: PostroomError) -> None:
        self._error = error

    def refuse(self, address: str) -> None:
        self._refused.add(address)

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


def test_an_id_nobody_knows(office: Office) -> None:
    """It is not found, and waiting for it ends."""
    receipt = office.mailer.receipt("00000000-0000-4000-8000-000000000000")

    assert receipt.state() is State.NOT_FOUND
    with pytest.raises(TimeoutError):
        receipt.outcome(timeout=0)


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
