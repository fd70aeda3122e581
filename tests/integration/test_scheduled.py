"""Times, calling back, holding and sending once: on a real worker, with a real server that counts what reaches it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from postroom import Cancelled, Expired, Mailer, Partial, Receipt, Sent, State, Unknown
from postroom.testing import SmtpServer, at, free_port
from postroom_broker import keys
from tests.support.post import Command, Post, a_message
from tests.support.redis_proxy import Fault, RedisProxy
from tests.support.valkey import ValkeyServer, connect
from tests.support.waiting import wait_until

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
BERLIN = ZoneInfo("Europe/Berlin")
# Twice accepted, never confirmed: what makes a message doubtful.
SILENT = at("END_OF_DATA").accept_then_drop()


@pytest.fixture
def mailer(post: Post) -> Iterator[Mailer]:
    """A mailer in this process."""
    with post.mailer() as mailer:
        yield mailer


@pytest.fixture
def server() -> Iterator[SmtpServer]:
    """A server without TLS and login; tests add their rules."""
    with SmtpServer() as server:
        yield server


@pytest.fixture
def send(post: Post, mailer: Mailer, server: SmtpServer) -> Callable[..., Receipt]:
    """Send the message of a number to that server."""
    session = post.session(server, use_ssl=False, password=None)

    def send(number: int = 0, to: list[str] | None = None, **wishes: Any) -> Receipt:
        changes = {} if to is None else {"to": to}
        return mailer.send(a_message(number, **changes), session, **wishes)

    return send


def now() -> datetime:
    """The time."""
    return datetime.now(UTC)


def arrivals(server: SmtpServer) -> dict[str, datetime]:
    """When each message was accepted, by its subject."""
    ago = time.monotonic()
    return {
        str(message.parsed()["Subject"]): now() - timedelta(seconds=ago - message.accepted_at)
        for message in server.messages
    }


def wait_for_the_end(moment: datetime) -> None:
    """Let a moment pass."""
    wait_until(lambda: now() >= moment, 30, "a moment to pass")


# ---- times


def test_nothing_is_sent_before_its_time_and_all_of_it_after(
    post: Post, server: SmtpServer, send: Callable[..., Receipt]
) -> None:
    """Due ones go out, moved ones at their new time, called back ones never, and what has no time at once."""
    start = now()
    due = {number: start + SECOND * number for number in (2, 3, 4)}
    with post.worker():
        receipts = {number: send(number, send_at=moment) for number, moment in due.items()}
        moved, cancelled = send(7, send_at=start + HOUR), send(8, send_at=start + 3 * SECOND)
        assert moved.reschedule(start + 5 * SECOND)
        assert cancelled.cancel()
        at_once = send(9)
        outcomes = [receipt.outcome(timeout=30) for receipt in (*receipts.values(), moved, at_once)]

    arrived = arrivals(server)
    assert {type(outcome) for outcome in outcomes} == {Sent}
    assert set(arrived) == {f"Letter {number}" for number in (2, 3, 4, 7, 9)}
    assert all(arrived[f"Letter {number}"] >= moment for number, moment in {**due, 7: start + 5 * SECOND}.items())
    assert isinstance(cancelled.outcome(timeout=0), Cancelled)


# A worker whose clock is a day fast. The C functions behind `datetime` are left alone; what is due asks neither.
FAST_CLOCK = """
import runpy, time
real = time.time
time.time = lambda: real() + 86400
runpy.run_module("postroom_worker", run_name="__main__", alter_sys=True)
"""


def test_a_worker_whose_clock_is_wrong_sends_nothing_early(
    post: Post, server: SmtpServer, send: Callable[..., Receipt]
) -> None:
    """Redis' clock decides what is due."""
    due_at = now() + 3 * SECOND
    with post.worker(starter=("-c", FAST_CLOCK)):
        tomorrow, soon = send(1, send_at=now() + 12 * HOUR), send(2, send_at=due_at)
        send(3).outcome(timeout=30)
        assert isinstance(soon.outcome(timeout=30), Sent)

        assert arrivals(server)["Letter 2"] >= due_at
        assert tomorrow.state() is State.SCHEDULED
    assert len(server.messages) == 2


def test_a_time_where_the_clocks_change_is_the_instant_that_python_names(
    mailer: Mailer, send: Callable[..., Receipt]
) -> None:
    """02:30 on the day when it does not exist, and on the day when it exists twice."""
    gap = datetime(2031, 3, 30, 2, 30, tzinfo=BERLIN)
    twice = datetime(2031, 10, 26, 2, 30, tzinfo=BERLIN)
    for moment in (gap, twice, twice.replace(fold=1)):
        send(send_at=moment)

    assert [due_at for _, due_at in mailer.scheduled()] == [
        datetime(2031, 3, 30, 1, 30, tzinfo=UTC),
        datetime(2031, 10, 26, 0, 30, tzinfo=UTC),
        datetime(2031, 10, 26, 1, 30, tzinfo=UTC),
    ]


# ---- calling back


def test_a_queued_message_that_was_called_back_is_left_alone(
    post: Post, server: SmtpServer, send: Callable[..., Receipt]
) -> None:
    """The worker takes it, sees that it is over, and is done with it."""
    cancelled, kept = send(1), send(2)
    assert cancelled.cancel()
    with post.worker() as worker:
        assert isinstance(kept.outcome(timeout=30), Sent)
        wait_until(lambda: f"{cancelled.id} is left alone: ended" in worker.log, 30, "the worker to see it")
        with connect(post.redis_url) as client:
            wait_until(lambda: client.hlen(keys.UNACKED) == 0, 30, "the message to be acknowledged")

    assert list(arrivals(server)) == ["Letter 2"]
    assert isinstance(cancelled.outcome(timeout=0), Cancelled)


@pytest.mark.parametrize(
    "rule", [at("EHLO").hold(), at("MAIL").hold(), at("RCPT").hold(), at("DATA").hold()], ids=lambda rule: rule.phase
)
def test_a_message_is_called_back_while_a_worker_talks_to_the_server(
    post: Post, send: Callable[..., Receipt], server: SmtpServer, rule: Any
) -> None:
    """Until the last byte: true, the server never gets it, and the connection's other mail goes on."""
    server.add_rules(rule.times(1))
    with post.worker() as worker:
        receipt = send(1)
        wait_until(lambda: receipt.state() is State.SENDING, 30, "the worker to begin")
        server.wait_for(lambda: any(rule.phase in c.verbs for c in server.connections), timeout_s=30)
        assert receipt.cancel()
        assert isinstance(receipt.outcome(timeout=0), Cancelled)
        server.release()
        wait_until(lambda: f"{receipt.id} is left alone: ended" in worker.log, 30, "the worker to let go")
        assert isinstance(send(2).outcome(timeout=30), Sent)

    assert list(arrivals(server)) == ["Letter 2"]
    assert receipt.state() is State.CANCELLED


def test_a_message_is_called_back_while_the_server_is_silent(
    post: Post, send: Callable[..., Receipt], server: SmtpServer
) -> None:
    """The answer does not wait for a server that stalls, and neither does the worker's end."""
    server.add_rules(at("DATA").stall())
    with post.worker(POSTROOM_DRAIN_S="0"):
        receipt = send()
        server.wait_for(lambda: server.open_transactions == 1, timeout_s=30)
        assert receipt.cancel()

    assert server.messages == ()
    assert receipt.state() is State.CANCELLED


def test_it_is_too_late_after_the_last_byte(post: Post, send: Callable[..., Receipt], server: SmtpServer) -> None:
    """False, as often as it is asked; the outcome tells what came of it."""
    server.add_rules(at("END_OF_DATA").hold().times(1))
    with post.worker():
        receipt = send()
        server.wait_for(lambda: server.open_transactions == 1, timeout_s=30)
        wait_until(lambda: committed(post, receipt), 30, "the last byte to leave")
        assert [receipt.cancel(), receipt.cancel()] == [False, False]
        told = post.run("schedule", "cancel", receipt.id)
        server.release()
        outcome = receipt.outcome(timeout=30)

    assert (told.exit_code, told.answer) == (16, {"id": receipt.id, "done": False, "state": "sending"})
    assert isinstance(outcome, Sent)
    assert len(server.messages) == 1


def test_a_message_that_waits_for_its_next_attempt_is_called_back(
    post: Post, mailer: Mailer, send: Callable[..., Receipt], server: SmtpServer
) -> None:
    """Nobody got it: cancelled. Somebody has it already: partial, and the other never gets it."""
    server.add_rules(at("RCPT").matching("later@").reply("450 4.2.0 try again in 30 minutes"))
    nowhere = post.session(free_port(), use_ssl=False, password=None)
    with post.worker():
        refused, half = mailer.send(a_message(1), nowhere), send(2, to=["ann@example.com", "later@example.com"])
        for receipt in (refused, half):
            wait_until(lambda receipt=receipt: receipt.state() is State.RETRYING, 30, "the first attempt")  # type: ignore[misc]
            assert receipt.cancel()
        outcomes = [receipt.outcome(timeout=0) for receipt in (refused, half)]

    assert [type(outcome) for outcome in outcomes] == [Cancelled, Partial]
    assert outcomes[1].accepted == ["ann@example.com"]
    assert outcomes[1].code == 1304
    with connect(post.redis_url) as client:
        assert client.exists(keys.DELAYED, keys.DELAYED_MESSAGES) == 0


# ---- expiry


def test_a_message_that_expires_in_the_queue_is_not_sent(
    post: Post, send: Callable[..., Receipt], server: SmtpServer
) -> None:
    """No worker was there in time: expired, and the server hears nothing of it."""
    expires_at = now() + 2 * SECOND
    late, kept = send(1, expires_at=expires_at), send(2, expires_at=now() + HOUR)
    wait_for_the_end(expires_at)
    with post.worker():
        outcome = late.outcome(timeout=30)
        assert isinstance(kept.outcome(timeout=30), Sent)

    assert isinstance(outcome, Expired)
    assert (outcome.code, outcome.accepted) == (1305, [])
    assert list(arrivals(server)) == ["Letter 2"]


def test_a_message_that_expires_before_its_last_byte_is_not_sent(
    post: Post, send: Callable[..., Receipt], server: SmtpServer
) -> None:
    """The server was slow: what it has seen of the message by then is not enough to deliver it."""
    server.add_rules(at("RCPT").hold().times(1))
    with post.worker():
        expires_at = now() + 6 * SECOND
        receipt = send(expires_at=expires_at)
        server.wait_for(lambda: server.open_transactions == 1, timeout_s=30)
        wait_for_the_end(expires_at)
        server.release()
        outcome = receipt.outcome(timeout=30)

    assert isinstance(outcome, Expired)
    assert server.messages == ()


# ---- holding


def test_a_message_in_doubt_is_held_and_sent_again_by_an_operator(
    post: Post, send: Callable[..., Receipt], server: SmtpServer
) -> None:
    """Accepted and never confirmed: held at once, sent on demand with the same identity, and the outcome warns."""
    server.add_rules(SILENT.times(1))
    with post.worker():
        receipt = send(on_unknown="hold")
        with pytest.raises(TimeoutError, match="held"):
            receipt.outcome(timeout=60)
        listed = post.run("held", "list")
        sent_again = post.run("held", "send", receipt.id)
        outcome = receipt.outcome(timeout=30)

    assert [listed.answer["id"], listed.answer["error"]["error_code"]] == [receipt.id, 1303]
    assert (sent_again.exit_code, sent_again.answer["done"]) == (0, True)
    assert isinstance(outcome, Sent)
    assert (outcome.possible_duplicate, outcome.attempts) == (True, 2)
    first, second = server.messages
    assert first.data == second.data


def test_a_message_in_doubt_is_given_up_by_an_operator(
    post: Post, send: Callable[..., Receipt], server: SmtpServer
) -> None:
    """Never sent again, and its outcome is unknown: somebody may have got it."""
    server.add_rules(SILENT)
    with post.worker():
        receipt = send(on_unknown="hold")
        wait_until(lambda: receipt.state() is State.HELD, 30, "the message to be held")
        dropped = post.run("held", "drop", receipt.id, "--yes")
        outcome = receipt.outcome(timeout=0)

    assert (dropped.exit_code, dropped.answer["state"]) == (0, "unknown")
    assert isinstance(outcome, Unknown)
    assert (outcome.unknown, outcome.possible_duplicate) == (["ann0@example.com"], False)
    assert len(server.messages) == 1


def test_without_a_wish_a_message_in_doubt_is_sent_once_more(
    post: Post, send: Callable[..., Receipt], server: SmtpServer
) -> None:
    """With the same Message-ID and Date; in doubt once it ends as sent, in doubt twice as unknown, both with a warning."""
    server.add_rules(SILENT.matching("ann1@").times(1), SILENT.matching("ann2@"))
    with post.worker():
        once, twice = (receipt.outcome(timeout=60) for receipt in [send(1), send(2)])

    assert (type(once), once.possible_duplicate, once.attempts) == (Sent, True, 2)
    assert (type(twice), twice.possible_duplicate, twice.unknown) == (Unknown, True, ["ann2@example.com"])
    for subject in ("Letter 1", "Letter 2"):
        copies = [m.parsed() for m in server.messages if m.parsed()["Subject"] == subject]
        assert len(copies) == 2
        assert len({(copy["Message-ID"], copy["Date"]) for copy in copies}) == 1


# ---- once only


def test_many_threads_with_one_key_send_one_mail(post: Post, send: Callable[..., Receipt], server: SmtpServer) -> None:
    """All of them get its receipt, and its outcome."""
    receipts: list[Receipt] = []
    start = threading.Barrier(20)

    def send_at_the_same_moment() -> None:
        start.wait()
        receipts.append(send(idempotency_key="order 17"))

    threads = [threading.Thread(target=send_at_the_same_moment) for _ in range(20)]
    with post.worker():
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        outcomes = [receipt.outcome(timeout=30) for receipt in receipts]
        send(1).outcome(timeout=30)

    assert (len(receipts), len({receipt.id for receipt in receipts})) == (20, 1)
    assert {type(outcome) for outcome in outcomes} == {Sent}
    assert list(arrivals(server)) == ["Letter 0", "Letter 1"]
    assert len(server.messages) == 2


@pytest.mark.parametrize("fault", [Fault.LOSE_ANSWER, Fault.CUT_AFTER, Fault.SWALLOW])
def test_a_message_whose_answer_was_lost_is_sent_once(
    post: Post, send: Callable[..., Receipt], server: SmtpServer, valkey: ValkeyServer, fault: Fault
) -> None:
    """Sent again by the id of the error, before or after a worker sent the first one."""
    session = post.session(server, use_ssl=False, password=None)
    with post.worker(), RedisProxy(valkey.port, b"EVALSHA", fault) as proxy:
        send(1).outcome(timeout=30)
        cut_off = Mailer.from_env(post.environment | {"POSTROOM_BROKER_URL": f"{proxy.url}?socket_timeout=0.5"})
        with cut_off, pytest.raises(ConnectionError) as caught:
            cut_off.send(a_message(2), session)
        receipt_id = caught.value.receipt_id  # type: ignore[attr-defined]
        again = [send(2, receipt_id=receipt_id) for _ in range(2)]
        outcome = again[0].outcome(timeout=30)
        late = send(2, receipt_id=receipt_id)

    assert isinstance(outcome, Sent)
    assert {receipt.id for receipt in (*again, late)} == {receipt_id}
    assert sorted(str(m.parsed()["Subject"]) for m in server.messages) == ["Letter 1", "Letter 2"]


# ---- at a terminal


def test_a_command_that_waits_is_told_of_the_end(post: Post, mailer: Mailer, server: SmtpServer) -> None:
    """Called back 13, expired 14, held 15: each ends the wait at once, with the state in the line."""
    server.add_rules(SILENT.matching("ann3@"))
    session = json.loads(post.session(server, use_ssl=False, password=None).model_dump_json(by_alias=True))
    ended: dict[int, Command] = {}

    def send_and_wait(number: int, **wishes: str) -> threading.Thread:
        message = json.loads(a_message(number).model_dump_json(by_alias=True))
        asked = json.dumps({"EmailMessage": message, "BasicEmailSessionDetails": session, **wishes})

        def run() -> None:
            ended[number] = post.run("send", "-", "--wait", "50", standard_input=asked)

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    expires_at = now() + 10 * SECOND
    expiring = send_and_wait(2, ExpiresAt=expires_at.isoformat())
    scheduled = send_and_wait(1, SendAt=(now() + HOUR).isoformat())
    (waiting,) = wait_until(lambda: list(mailer.scheduled()), 30, "the command to send")
    with connect(post.redis_url) as client:
        wait_until(lambda: len(client.pubsub_channels()) == 2, 30, "both commands to wait")
    assert waiting[0].cancel()
    scheduled.join()
    wait_for_the_end(expires_at)
    with post.worker():
        expiring.join()
        send_and_wait(3, OnUnknown="hold").join()

    assert {number: command.exit_code for number, command in ended.items()} == {1: 13, 2: 14, 3: 15}
    assert {number: command.answer["state"] for number, command in ended.items()} == {
        1: "cancelled",
        2: "expired",
        3: "held",
    }
    assert {number: command.answer["error"]["error_code"] for number, command in ended.items()} == {
        1: 1304,
        2: 1305,
        3: 1303,
    }


def committed(post: Post, receipt: Receipt) -> bool:
    """Whether the ledger knows that the last byte is leaving."""
    with connect(post.redis_url) as client:
        return bool(client.hexists(f"postroom.delivery.{receipt.id}", "committed"))
