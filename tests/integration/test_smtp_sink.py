"""Postroom against smtp-sink: many messages, each exactly once; and a server that fails at any point of the conversation.

smtp-sink refuses or hangs up at the commands it is told. What each case comes to stands in a table: refused with which
code at which command, lost before anything was sent, or in doubt.
"""

from __future__ import annotations

import asyncio

import pytest

from postroom import Sent
from postroom_contract.error_codes import ErrorCode
from postroom_contract.errors import PostroomError
from postroom_worker.smtp import SessionCache
from tests.conftest import require
from tests.support.letters import a_letter, clear_access_to, send, send_over
from tests.support.other_server import ARRIVAL_TIMEOUT_S
from tests.support.post import Post, a_message
from tests.support.smtp_sink import SmtpSink, program
from tests.support.waiting import wait_until

# Enough to use several sessions up: each is good for a hundred.
MANY = 500
# Through Redis and a worker process; each costs some ten milliseconds on a slow machine.
MANY_FOR_A_WORKER = 150

ACCEPTED = ("accepted",)
LOST = ("lost", ErrorCode.CONNECTION_LOST)
IN_DOUBT = ("in doubt", ErrorCode.UNKNOWN_OUTCOME)
NO_CONNECTION = ("not begun", ErrorCode.CONNECTION_LOST)

# smtp-sink's flags: -r refuses for now, -f for good, -q hangs up without a word, -Q with 421.
FAULTS = {
    "-r CONNECT": ("not begun", ErrorCode.COMMAND_REFUSED, 450),
    "-f CONNECT": ("not begun", ErrorCode.COMMAND_REFUSED, 500),
    "-q CONNECT": NO_CONNECTION,
    "-Q CONNECT": ("not begun", ErrorCode.COMMAND_REFUSED, 421),
    "-r EHLO": ("not begun", ErrorCode.COMMAND_REFUSED, 450),
    "-f EHLO": ACCEPTED,  # with HELO
    "-f EHLO,HELO": ("not begun", ErrorCode.COMMAND_REFUSED, 500),
    "-q EHLO": NO_CONNECTION,
    "-r MAIL": ("refused", "MAIL", 450),
    "-f MAIL": ("refused", "MAIL", 500),
    "-q MAIL": LOST,
    "-Q MAIL": ("refused", "MAIL", 421),
    "-r RCPT": ("refused", "RCPT", 450),
    "-f RCPT": ("refused", "RCPT", 500),
    "-q RCPT": LOST,
    "-Q RCPT": ("refused", "RCPT", 421),
    "-r DATA": ("refused", "DATA", 450),
    "-f DATA": ("refused", "DATA", 500),
    "-q DATA": LOST,
    "-Q DATA": ("refused", "DATA", 421),
    "-r .": ("refused", ".", 450),
    "-f .": ("refused", ".", 500),
    "-q .": IN_DOUBT,
    "-Q .": ("refused", ".", 421),
    "-f QUIT": ACCEPTED,
    "-q QUIT": ACCEPTED,
    "-Q QUIT": ACCEPTED,
    "-e": ACCEPTED,  # no ESMTP
    "-p -8 -E -N -a": ACCEPTED,  # ESMTP with nothing announced
}


@pytest.fixture(autouse=True)
def _is_installed() -> None:
    require("smtp-sink, of the Postfix package", is_there=program() is not None)


def test_many_messages_at_once_arrive_exactly_once_each() -> None:
    """Hundreds of sends at once: never more than three connections, each used for a hundred messages."""
    letters = [a_letter(number) for number in range(MANY)]

    async def send_all(port: int) -> tuple[int, int]:
        cache = SessionCache()
        try:
            reports = await asyncio.gather(*(send_over(cache, clear_access_to(port), letter) for letter in letters))
        finally:
            await cache.aclose()
        return sum(report.was_accepted for report in reports), cache.stats.opened

    with SmtpSink() as sink:
        accepted, opened = asyncio.run(send_all(sink.port))

        arrived = [(dumped.recipients, dumped.message_id) for dumped in sink.dumped]
    assert accepted == MANY
    assert MANY // 100 <= opened <= MANY // 100 + 3
    assert sorted(arrived) == sorted((letter.message.recipients, letter.message_id) for letter in letters)


def test_a_worker_delivers_many(post: Post) -> None:
    """The whole way, many at a time: every receipt says sent, and every message is there once."""
    with SmtpSink() as sink:
        session = post.session(sink.port, use_ssl=False, password=None)
        with post.worker(), post.mailer() as mailer:
            receipts = [mailer.send(a_message(number), session) for number in range(MANY_FOR_A_WORKER)]
            outcomes = [receipt.outcome(timeout=60) for receipt in receipts]

        arrived = [dumped.message_id for dumped in sink.dumped]
    assert {type(outcome) for outcome in outcomes} == {Sent}
    assert sorted(arrived) == sorted(str(outcome.message_id) for outcome in outcomes)


@pytest.mark.parametrize("flags", FAULTS)
def test_a_fault_is_told_as_what_it_is(flags: str) -> None:
    """Every fault comes to its row of the table; the server has the whole message only where its last octets have left."""
    with SmtpSink(*flags.split()) as sink:
        fate = _fate_of_a_letter(sink.port)

        assert fate == FAULTS[flags]
        # It keeps what it has read to the end, also where it then refuses it; what it has only begun it takes away again.
        kept = int(fate in {ACCEPTED, IN_DOUBT} or "." in fate)
        wait_until(lambda: len(sink.dumped) == kept, ARRIVAL_TIMEOUT_S, f"{kept} messages to be kept")


@pytest.mark.parametrize("flags", ["-f RSET", "-q RSET", "-Q RSET"])
def test_a_session_that_cannot_be_reset_is_replaced(flags: str) -> None:
    """After a refused letter the next one goes over a new connection, and is judged for itself."""

    async def send_two(port: int) -> tuple[list[int], int]:
        cache = SessionCache()
        access = clear_access_to(port)
        try:
            reports = [await send_over(cache, access, a_letter(number)) for number in range(2)]
        finally:
            await cache.aclose()
        answers = [report.answer_for(who) for report in reports for who in report.recipients]
        return [answer.reply.code for answer in answers if answer is not None], cache.stats.opened

    with SmtpSink("-r", "RCPT", *flags.split()) as sink:
        assert asyncio.run(send_two(sink.port)) == ([450, 450], 2)


def test_a_refusal_in_the_middle_of_the_message_is_heard() -> None:
    """550 while the message is still being written, and nothing read any more: refused, not lost, and never sent."""
    letter = a_letter(attachments=[{"Name": "large.bin", "Content": bytes(8_000_000)}])
    with SmtpSink("-A", "0") as sink:
        (report,) = send(clear_access_to(sink.port), letter)

    answer = report.answer_for("ann0@example.com")
    assert answer is not None
    assert (answer.command, answer.reply.code) == (".", 550)
    assert report.never_sent


def _fate_of_a_letter(port: int) -> tuple[object, ...]:
    """Send one letter, and say in a few words what came of it."""
    try:
        (report,) = send(clear_access_to(port), a_letter())
    except PostroomError as error:
        return ("not begun", error.error_code, *([error.smtp_code] if error.smtp_code else []))
    answer = report.answer_for("ann0@example.com")
    if report.was_accepted:
        return ACCEPTED
    if answer is not None and answer.reply.is_negative:
        return ("refused", answer.command, answer.reply.code)
    assert report.lost is not None
    return ("in doubt" if report.in_doubt else "lost", report.lost.error_code)
