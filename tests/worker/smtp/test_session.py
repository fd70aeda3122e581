"""One message over one session, against real servers: every way it can go, and what is known afterwards."""

import asyncio
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message

from postroom.testing import CertificateKit, Moment, Rule, SmtpServer, at, free_port
from postroom.testing.smtp_server import EXTENSIONS
from postroom_contract.errors import IOException, SmtpCommandException, UnknownOutcomeException
from postroom_worker.smtp import Access, Envelope, Limits, Phase, Reply, Timeouts, TransactionReport
from postroom_worker.smtp.envelope import stuff_dots
from postroom_worker.smtp.session import BLOCK_OCTETS, SmtpSession
from tests.support.waiting import wait_until_async
from tests.worker.smtp.sending import (
    CONTENT,
    ENVELOPE,
    LARGE,
    QUICK,
    access_to,
    envelope_to,
    no_commit,
    open_descriptors,
    open_to,
    send_once,
)

WITHOUT_PIPELINING = [extension for extension in EXTENSIONS if extension != "PIPELINING"]
# Room for a message that does not fit the kernel's buffers.
ROOMY = ["PIPELINING", "SIZE 100000000", "ENHANCEDSTATUSCODES"]


@pytest.mark.parametrize("extensions", [EXTENSIONS, WITHOUT_PIPELINING, []], ids=["pipelined", "one by one", "bare"])
@pytest.mark.parametrize("tls", ["none", "starttls", "implicit"])
async def test_a_message_arrives_as_it_was_sent(extensions: list[str], tls: Any, trusted: CertificateKit) -> None:
    """Envelope and every octet, dots included, with and without pipelining and TLS; nothing against the protocol."""
    context = trusted.server_context()
    with SmtpServer(extensions=extensions, tls=tls, ssl_context=context) as server:
        session = await open_to(access_to(server, use_ssl=tls == "implicit"))
        report = await session.send(envelope_to("one", "two"), CONTENT, no_commit)
        await session.quit()

        (message,) = server.messages
        assert message.data == CONTENT
        assert (message.sender, message.recipients) == (
            "sender@here.example",
            ("one@there.example", "two@there.example"),
        )
        assert message.parameters == ({"SIZE": str(len(CONTENT))} if extensions and extensions != [] else {})
        assert server.connections[0].violations == ()
    assert report.accepted == message.recipients
    assert (report.phase, report.connection_usable, report.interrupted) == (Phase.REPLIED, True, False)
    assert report.is_encrypted == (tls != "none")
    assert not report.is_authenticated


async def test_a_large_message_arrives_whole(trusted: CertificateKit) -> None:
    """In blocks, over TLS, with the writer waiting for the reader."""
    with SmtpServer(extensions=ROOMY, tls="implicit", ssl_context=trusted.server_context()) as server:
        session = await open_to(access_to(server, use_ssl=True))
        report = await session.send(ENVELOPE, LARGE, no_commit)
        await session.quit()

        assert report.was_accepted
        assert server.messages[0].data == LARGE


@pytest.mark.parametrize("size", [1, 5, 16 * 1024 - 3, 16 * 1024, 16 * 1024 + 1, 32 * 1024 - 2, 32 * 1024 + 4])
async def test_block_borders_change_nothing(size: int) -> None:
    """A dot or a line end at the border of a block is a dot or a line end."""
    content = (b".\r\n" * size)[: size - size % 3] + b"." * (size % 3) + b"\r\n"
    with SmtpServer() as server:
        report = await send_once(server, content=content)

        assert report.was_accepted
        assert [message.data for message in server.messages] == [content]


async def test_another_server_takes_it_too() -> None:
    """aiosmtpd, which announces no pipelining."""
    received: list[Any] = []

    class Keep(Message):
        def handle_message(self, message: Any) -> None:
            received.append(message)

    port = free_port()
    controller = Controller(Keep(), hostname="127.0.0.1", port=port)
    controller.start()
    try:
        session = await open_to(Access("127.0.0.1", port, use_ssl=False))
        reports = [await session.send(envelope_to("one", "two"), CONTENT, no_commit) for _ in range(3)]
        await session.quit()
    finally:
        controller.stop()

    assert all(report.was_accepted for report in reports)
    assert [message["Subject"] for message in received] == ["one"] * 3
    assert received[0].get_payload() == CONTENT.partition(b"\r\n\r\n")[2].decode()


@pytest.mark.parametrize("extensions", [EXTENSIONS, WITHOUT_PIPELINING], ids=["pipelined", "one by one"])
async def test_recipients_have_their_own_results(extensions: list[str]) -> None:
    """A refused one, a deferred one and one accepted elsewhere (251): the message goes to whom it can."""
    rules = [
        at("RCPT").matching("bad").reply("550-5.1.1 No such", "550 5.1.1 user"),
        at("RCPT").matching("grey").reply("450 4.7.1 Greylisted").split(),
        at("RCPT").matching("moved").reply("251 2.1.5 will forward"),
    ]
    with SmtpServer(rules=rules, extensions=extensions) as server:
        report = await send_once(server, envelope_to("bad", "good", "grey", "moved"))

        assert server.messages[0].recipients == ("good@there.example", "moved@there.example")
    assert report.accepted == ("good@there.example", "moved@there.example")
    assert report.refused == {
        "bad@there.example": Reply(550, "5.1.1", "No such\nuser"),
        "grey@there.example": Reply(450, "4.7.1", "Greylisted"),
    }


@pytest.mark.parametrize("extensions", [EXTENSIONS, WITHOUT_PIPELINING], ids=["pipelined", "one by one"])
@pytest.mark.parametrize(
    ("rules", "command", "code"),
    [
        ([at("MAIL").times(1).reply("450 4.7.1 too much mail")], "MAIL", 450),
        ([at("MAIL").times(1).reply("550 5.7.1 not you")], "MAIL", 550),
        ([at("RCPT").times(1).reply("550 5.1.1 no")], "RCPT", 550),
        ([at("DATA").times(1).reply("454 4.7.0 Throttling failure")], "DATA", 454),
        ([at("DATA").times(1).reply("554 5.7.1 no")], "DATA", 554),
        ([at("END_OF_DATA").times(1).reply("451 4.7.500 Server busy")], ".", 451),
        ([at("END_OF_DATA").times(1).reply("554 5.6.0 no")], ".", 554),
        # 354 for a message that nobody is to get: a lone dot ends it.
        ([at("RCPT").times(1).reply("550 5.1.1 no"), at("DATA").times(1).reply("354 go on")], "RCPT", 550),
    ],
)
async def test_a_refusal_leaves_the_session_fit_for_the_next(
    rules: list[Rule], command: str, code: int, extensions: list[str]
) -> None:
    """The reply and its command are told, nothing was accepted, and the next message goes over the same connection."""
    with SmtpServer(rules=rules, extensions=extensions) as server:
        session = await open_to(server)
        report = await session.send(ENVELOPE, CONTENT, no_commit)
        answer = report.answer_for("one@there.example")
        assert answer is not None
        assert (answer.command, answer.reply.code) == (command, code)
        assert report.connection_usable
        assert not report.was_accepted

        assert await session.check()
        second = await session.send(ENVELOPE, CONTENT, no_commit)
        assert second.was_accepted
        await session.quit()
        assert len(server.messages) == 1
        assert server.connections[0].violations == ()
        # An envelope that the server still holds is dropped first; after a reply to the dot there is none.
        assert ("RSET" in server.connections[0].verbs) == (command != ".")


@pytest.mark.parametrize(
    ("phase", "named"), [("MAIL", "mail"), ("RCPT", "recipients"), ("DATA", "data"), ("END_OF_DATA", "final")]
)
async def test_a_goodbye_ends_the_session_and_sends_nothing(phase: Any, named: str) -> None:
    """421 at each point: known not to be delivered, the connection never used again."""
    rules = [at(phase).reply_then_close("421 4.3.2 Shutting down")]
    with SmtpServer(rules=rules) as server:
        session = await open_to(server)
        report = await session.send(ENVELOPE, CONTENT, no_commit)

        assert server.messages == ()
    found = report.recipients["one@there.example"] if named == "recipients" else getattr(report, named)
    assert found == Reply(421, "4.3.2", "Shutting down")
    assert not report.committed_without_reply
    assert not report.connection_usable
    assert not session.is_alive


@pytest.mark.parametrize("ending", ["drop", "reset", "stall"])
@pytest.mark.parametrize("phase", ["MAIL", "RCPT", "DATA"])
async def test_a_connection_lost_before_the_body_sent_nothing(phase: Any, ending: str) -> None:
    """Dropped, reset or silent: an I/O error that may be tried again, with what was answered before."""
    rules = [getattr(at(phase), ending)()]
    with SmtpServer(rules=rules) as server:
        report = await send_once(server, timeouts=QUICK)

        assert server.messages == ()
    assert report.never_sent
    assert isinstance(report.lost, IOException)
    assert report.lost.retryable
    assert report.lost.facts["phase"] == "envelope"
    assert report.lost.reason == ("timed_out" if ending == "stall" else "disconnected")
    assert not report.connection_usable


@pytest.mark.parametrize(
    ("ending", "reason"), [("drop", "disconnected"), ("reset", "disconnected"), ("stall", "timed_out")]
)
async def test_a_connection_lost_in_the_body_sent_nothing(ending: str, reason: str) -> None:
    """Most of the message had left, and nobody can have got it."""
    rules = [getattr(at("BODY").after_octets(100_000), ending)()]
    with SmtpServer(rules=rules, extensions=ROOMY) as server:
        report = await send_once(server, content=LARGE, timeouts=QUICK)

        assert server.messages == ()
    assert (report.phase, report.never_sent, report.in_doubt) == (Phase.BODY, True, ())
    assert isinstance(report.lost, IOException)
    assert (report.lost.reason, report.lost.retryable, report.lost.facts["phase"]) == (reason, True, "body")


@pytest.mark.parametrize(
    ("ending", "reason"),
    [
        (at("END_OF_DATA").accept_then_drop(), "disconnected"),
        (at("END_OF_DATA").accepting().reset(), "disconnected"),
        (at("END_OF_DATA").accepting().stall(), "timed_out"),
        (at("END_OF_DATA").accepting().send(b"nonsense\r\n"), "protocol_error"),
        (at("END_OF_DATA").accepting().send(b"354 what?\r\n"), "protocol_error"),
        (at("END_OF_DATA").accepting().send(b"25"), "timed_out"),
    ],
)
async def test_no_reply_to_the_dot_leaves_it_in_doubt(ending: Rule, reason: str) -> None:
    """The server has the message, and we do not know: never called sent, never called safe to repeat."""
    with SmtpServer(rules=[ending]) as server:
        session = await open_to(server, timeouts=QUICK)
        report = await session.send(envelope_to("one", "two"), CONTENT, no_commit)

        assert len(server.messages) == 1
    assert report.committed_without_reply
    assert report.in_doubt == ("one@there.example", "two@there.example")
    assert report.accepted == ()
    assert isinstance(report.lost, UnknownOutcomeException)
    assert (report.lost.reason, report.lost.retryable) == (reason, False)
    assert not session.is_alive


async def test_a_reply_too_many_ends_the_session() -> None:
    """The message was accepted, and what came behind is never taken for an answer."""
    with SmtpServer(rules=[at("END_OF_DATA").inject("250 EXTRA")]) as server:
        session = await open_to(server)
        report = await session.send(ENVELOPE, CONTENT, no_commit)

    assert report.was_accepted
    assert not report.connection_usable
    assert not session.is_alive


async def test_a_reply_too_many_cannot_stand_for_a_recipient() -> None:
    """`250 ok, 250 EXTRA` to MAIL, 550 to RCPT: the EXTRA does not make the recipient accepted."""
    rules = [at("MAIL").inject("250 EXTRA"), at("RCPT").reply("550 5.1.1 no")]
    for extensions in (EXTENSIONS, WITHOUT_PIPELINING):
        with SmtpServer(rules=rules, extensions=extensions) as server:
            report = await send_once(server)

            assert server.messages == ()
        assert report.never_sent
        assert report.accepted == ()
        assert not report.connection_usable


async def test_a_refusal_in_the_middle_of_the_body_is_heard() -> None:
    """The rest is not sent, the terminator least of all; the server's reply is the answer."""
    rules = [at("BODY").after_octets(100_000).reply("552 5.3.4 Too big")]
    with SmtpServer(rules=rules, extensions=ROOMY) as server:
        committed: list[bool] = []

        async def commit(_admitted: tuple[str, ...]) -> None:
            committed.append(True)

        session = await open_to(server)
        report = await session.send(ENVELOPE, LARGE, commit)

        assert server.messages == ()
    assert committed == []
    assert report.final == Reply(552, "5.3.4", "Too big")
    assert report.never_sent
    assert not session.is_alive


async def test_too_many_recipients_are_left_for_the_next_transaction() -> None:
    """The server takes two at a time, and both halves arrive over one connection."""
    rules = [at("RCPT").when(lambda moment: len(moment.recipients) == 2).reply("452 4.5.3 Too many recipients")]
    with SmtpServer(rules=rules) as server:
        session = await open_to(server)
        first = await session.send(envelope_to("one", "two", "three"), CONTENT, no_commit)
        assert first.leftover == ("three@there.example",)
        second = await session.send(Envelope("sender@here.example", first.leftover), CONTENT, no_commit)
        await session.quit()

        assert second.leftover == ()
        assert [len(message.recipients) for message in server.messages] == [2, 1]


async def test_what_the_server_cannot_take_is_not_begun() -> None:
    """Over its SIZE, or an address that needs SMTPUTF8: an error, no command, and a session as good as before."""
    with SmtpServer(extensions=["SIZE 50"]) as server:
        session = await open_to(server)
        for envelope, content, code in (
            (ENVELOPE, CONTENT, 552),
            (Envelope("a@b.example", ("ü@there.example",)), b"Subject: x\r\n\r\n", 553),
        ):
            with pytest.raises(SmtpCommandException) as refused:
                await session.send(envelope, content, no_commit)
            assert refused.value.smtp_code == code
        assert session.is_alive
        await session.quit()

        assert server.connections[0].verbs == ("EHLO", "QUIT")


async def test_smtputf8_carries_addresses_outside_ascii() -> None:
    """Where the server announces it; the envelope arrives as it was meant."""
    envelope = Envelope("ö@here.example", ("ü@there.example",), has_utf8_headers=True)
    with SmtpServer() as server:
        report = await send_once(server, envelope, "Subject: ü\r\n\r\n".encode())

        assert report.was_accepted
        (message,) = server.messages
        assert (message.sender, message.recipients) == ("ö@here.example", ("ü@there.example",))
        assert message.parameters.keys() == {"SIZE", "SMTPUTF8", "BODY"}


@pytest.mark.parametrize("content", [CONTENT, LARGE], ids=["one block", "many blocks"])
async def test_the_commit_comes_just_before_the_last_octets(content: bytes) -> None:
    """When it is called, all blocks but the last have left, and of the last, which ends the message, not one octet."""
    due = max(0, len(stuff_dots(content)) - BLOCK_OCTETS)
    passed: list[int] = []

    def note(moment: Moment) -> bool:
        passed.append(moment.octets)
        return False

    def passing(octets: int) -> Rule:
        return at("BODY").after_octets(octets).when(note)

    async def commit(_admitted: tuple[str, ...]) -> None:
        await wait_until_async(lambda: not due or passed, 30)
        assert passed == ([due] if due else [])

    rules = [passing(due), passing(due + 1)] if due else [passing(1)]
    with SmtpServer(rules=rules, extensions=ROOMY) as server:
        session = await open_to(server)
        report = await session.send(ENVELOPE, content, commit)
        await session.quit()

        assert report.was_accepted
        assert len(passed) == len(rules)
        assert server.messages[0].data == content


async def test_a_refusal_while_the_commit_waits_is_heard() -> None:
    """The commit may have been noted; the message is refused, and its last octets stay here."""
    with SmtpServer(rules=[at("BODY").hold().reply("552 5.3.4 Too big")], extensions=ROOMY) as server:
        session = await open_to(server)

        async def commit(_admitted: tuple[str, ...]) -> None:
            server.release()
            await wait_until_async(lambda: session._connection.has_reply, 30)

        report = await session.send(ENVELOPE, b"x" * 70 + b"\r\n" + CONTENT * 1000, commit)

        assert server.messages == ()
    assert report.never_sent
    assert report.final == Reply(552, "5.3.4", "Too big")


async def test_a_failing_commit_keeps_the_message_back() -> None:
    """Its error passes through, the connection is dropped before the terminator, and nothing was sent."""

    async def commit(_admitted: tuple[str, ...]) -> None:
        raise ConnectionError("the ledger is away")

    with SmtpServer() as server:
        session = await open_to(server)
        with pytest.raises(ConnectionError, match="ledger"):
            await session.send(ENVELOPE, CONTENT, commit)

        assert not session.is_alive
        await wait_until_async(lambda: server.open_connections == 0, 30)
        assert server.messages == ()
        assert "QUIT" not in server.connections[0].verbs


async def test_no_commit_for_nobody() -> None:
    """Where no recipient was accepted, nothing is noted as sent."""

    async def commit(_admitted: tuple[str, ...]) -> None:
        raise AssertionError("there is nothing to commit")

    with SmtpServer(rules=[at("RCPT").reply("550 5.1.1 no")]) as server:
        session = await open_to(server)
        await session.send(ENVELOPE, CONTENT, commit)
        await session.quit()


async def test_a_connection_that_ends_while_the_commit_waits_sent_nothing() -> None:
    """The commit may have been noted; the report says that the octets never left."""
    with SmtpServer() as server:
        session = await open_to(server)

        async def commit(_admitted: tuple[str, ...]) -> None:
            server.drop_connections()
            await wait_until_async(lambda: not session.is_alive and session._connection._ended, 30)

        report = await session.send(ENVELOPE, CONTENT, commit)

        assert server.messages == ()
    assert (report.phase, report.never_sent) == (Phase.BODY, True)


async def start(server: SmtpServer, timeouts: Timeouts) -> tuple[SmtpSession, asyncio.Task[TransactionReport]]:
    """Open a session and begin to send."""
    session = await open_to(server, timeouts=timeouts)
    return session, asyncio.create_task(session.send(ENVELOPE, LARGE, no_commit))


@pytest.mark.parametrize("phase", ["MAIL", "RCPT", "DATA", "BODY"])
async def test_a_cancellation_before_the_commit_stops_it(phase: Any) -> None:
    """In each phase: the connection is closed, no descriptor is left, and nothing was sent."""
    before = open_descriptors()
    with SmtpServer(rules=[at(phase).stall()], extensions=[*ROOMY]) as server:
        session, sending = await start(server, Timeouts())
        if phase == "BODY":
            await wait_until_async(lambda: session._connection._is_paused, 30)
        else:
            await wait_until_async(lambda: phase in server.connections[0].verbs, 30)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending

        assert not session.is_alive
        if phase != "BODY":  # there the server has stopped reading, and does not notice
            await wait_until_async(lambda: server.open_connections == 0, 30)
        assert server.messages == ()
    await wait_until_async(lambda: open_descriptors() <= before, 30)


async def test_a_cancellation_in_the_commit_stops_it() -> None:
    """It is still before the last octets."""
    is_committing = asyncio.Event()

    async def commit(_admitted: tuple[str, ...]) -> None:
        is_committing.set()
        await asyncio.get_running_loop().create_future()

    with SmtpServer() as server:
        session = await open_to(server)
        sending = asyncio.create_task(session.send(ENVELOPE, CONTENT, commit))
        await is_committing.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        await wait_until_async(lambda: server.open_connections == 0, 30)
        assert server.messages == ()


async def test_a_cancellation_after_the_commit_waits_for_the_reply() -> None:
    """The reply alone can tell: the task goes on, reports it, and says that it was interrupted."""
    with SmtpServer(rules=[at("END_OF_DATA").hold()]) as server:
        session = await open_to(server)
        sending = asyncio.create_task(session.send(ENVELOPE, CONTENT, no_commit))
        await wait_until_async(lambda: session._connection._expected == 1 and _is_committed(sending), 30)
        sending.cancel()
        await asyncio.sleep(0)
        server.release()
        report = await sending

        assert sending.cancelling() == 0
        assert report.was_accepted
        assert report.interrupted
        assert report.connection_usable
        second = await session.send(ENVELOPE, CONTENT, no_commit)
        assert second.was_accepted
        assert not second.interrupted
        await session.quit()


@pytest.mark.parametrize("times", [1, 2])
async def test_after_a_cancellation_the_wait_is_short(times: int) -> None:
    """Once: bounded; twice: given up at once. Either way the message is in doubt, and nothing hides it."""
    timeouts = Timeouts(interrupted_s=0.2 if times == 1 else 60)
    with SmtpServer(rules=[at("END_OF_DATA").accepting().stall()]) as server:
        session = await open_to(server, timeouts=timeouts)
        sending = asyncio.create_task(session.send(ENVELOPE, CONTENT, no_commit))
        await wait_until_async(lambda: server.messages, 30)
        for _ in range(times):
            sending.cancel()
            await asyncio.sleep(0)
        report = await sending

    assert report.committed_without_reply
    assert report.interrupted
    assert report.lost is not None
    assert report.lost.reason == "interrupted"
    assert not session.is_alive


async def test_a_lost_connection_after_a_cancellation_is_told_as_such() -> None:
    """The worker was told to stop, but it was the server that went."""
    with SmtpServer(rules=[at("END_OF_DATA").hold()]) as server:
        session = await open_to(server)
        sending = asyncio.create_task(session.send(ENVELOPE, CONTENT, no_commit))
        await wait_until_async(lambda: _is_committed(sending), 30)
        sending.cancel()
        await asyncio.sleep(0)
        server.drop_connections()
        report = await sending

    assert report.lost is not None
    assert report.lost.reason == "disconnected"


async def test_a_session_counts_its_messages() -> None:
    """Our own limit or the server's (RFC 9422), whichever is lower."""
    with SmtpServer(extensions=["LIMITS MAILMAX=2"]) as server:
        session = await open_to(server, limits=Limits(most_messages=5))
        for is_spent in (False, True):
            await session.send(ENVELOPE, CONTENT, no_commit)
            assert session.is_spent == is_spent
        await session.quit()


async def test_a_session_that_was_idle_is_asked() -> None:
    """RSET, and only a good answer in time keeps it."""
    limits = Limits(unchecked_idle_s=-1)
    for rule, is_fit in (
        (at("RSET").delay(0), True),
        (at("RSET").reply("500 5.5.2 what?"), False),
        (at("RSET").drop(), False),
        (at("RSET").stall(), False),
        (at("RSET").inject("250 EXTRA"), False),
    ):
        with SmtpServer(rules=[rule]) as server:
            session = await open_to(server, timeouts=QUICK, limits=limits)
            assert await session.check() == is_fit
            assert session.is_alive == is_fit
            assert server.connections[0].verbs == ("EHLO", "RSET")
            await session.quit()


async def test_a_session_just_used_is_not_asked() -> None:
    """It would cost a round trip for each message."""
    with SmtpServer() as server:
        session = await open_to(server)
        assert await session.check()
        await session.quit()
        assert server.connections[0].verbs == ("EHLO", "QUIT")


def _is_committed(sending: asyncio.Task[Any]) -> bool:
    """Whether the coroutine of a task waits for the last reply."""
    step: Any = sending.get_coro()
    while step is not None:
        if getattr(step, "__name__", "") == "_read_final":
            return True
        step = getattr(step, "cr_await", None)
    return False


@pytest.mark.parametrize("extensions", [EXTENSIONS, WITHOUT_PIPELINING], ids=["pipelined", "one by one"])
async def test_a_refusal_in_one_breath_with_the_354_is_a_refusal(extensions: list[str]) -> None:
    """A server that says 354 and 550 at once has refused: nothing is sent, and it is not taken for a lost connection."""
    at_once = at("DATA").reply("354 Go on", "550 5.7.1 I have thought better of it")
    with SmtpServer(rules=[at_once], extensions=extensions) as server:
        report = await send_once(server)

        assert server.messages == ()
    answer = report.answer_for("one@there.example")
    assert answer is not None
    assert (answer.command, answer.reply.code) == (".", 550)
    assert report.never_sent
    assert report.lost is None


async def test_more_than_a_refusal_behind_the_354_ends_the_connection() -> None:
    """One reply is due after the 354; a second one belongs to nothing, and nothing is sent."""
    chatty = at("DATA").reply("354 Go on", "550 5.7.1 No", "250 2.0.0 Or yes")
    with SmtpServer(rules=[chatty]) as server:
        report = await send_once(server)

        assert server.messages == ()
    assert report.never_sent
    assert not report.connection_usable
