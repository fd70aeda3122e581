"""A connection over a real socket: replies in order, timers, and the end of it when the server says too much."""

import asyncio
import socket

import pytest

from postroom_worker.smtp.connection import LinkLost, SmtpConnection
from postroom_worker.smtp.reply import Reply
from tests.support.waiting import wait_until_async
from tests.worker.smtp.peer import WAIT_S, connected


async def reason_of(waiting: asyncio.Future[Reply]) -> str:
    """Return why a wait for a reply was in vain."""
    with pytest.raises(LinkLost) as lost:
        await waiting
    return lost.value.reason


async def test_a_command_gets_its_reply() -> None:
    """One line out, one reply in."""
    async with connected() as (connection, peer):
        asking = asyncio.ensure_future(connection.ask(b"NOOP", WAIT_S))
        assert await peer.hear() == b"NOOP\r\n"
        await peer.say(b"250-o")
        await peer.say(b"ne\r\n250 two\r\n")

        assert await asking == Reply(250, None, "one\ntwo")
        assert connection.is_quiet


async def test_replies_of_a_group_come_in_order() -> None:
    """Several in one segment are several."""
    async with connected() as (connection, peer):
        connection.expect(3)
        connection.write(b"A\r\nB\r\nC\r\n")
        await peer.say(b"250 a\r\n550 b\r\n354 c\r\n")

        assert [(await connection.read_reply(WAIT_S)).code for _ in range(3)] == [250, 550, 354]


@pytest.mark.parametrize("line", [b"NOOP\r\nQUIT", b"NOOP\n", b"NO\rOP"])
async def test_a_command_is_one_line(line: bytes) -> None:
    """What would be two commands is never written."""
    async with connected() as (connection, peer):
        with pytest.raises(ValueError, match="one line"):
            await connection.ask(line, WAIT_S)
        await connection.quit(0.05)
        assert await peer.hear() == b"QUIT\r\n"


@pytest.mark.parametrize(
    ("words", "reason"),
    [(b"250 ok\r\n", "protocol_error"), (b"421 4.4.2 idle\r\n", "disconnected"), (b"nonsense\r\n", "protocol_error")],
)
async def test_what_nobody_asked_for_ends_the_connection(words: bytes, reason: str) -> None:
    """A reply left over would be taken for the answer to the next command; an unasked 421 is a goodbye."""
    async with connected() as (connection, peer):
        await peer.say(words)
        await wait_until_async(lambda: not connection.is_quiet, WAIT_S)

        assert connection.has_heard_too_much
        with pytest.raises(LinkLost) as lost:
            connection.write(b"NOOP\r\n")
        assert lost.value.reason == reason


async def test_a_second_reply_to_one_command_ends_the_connection() -> None:
    """The first counts; the one behind it, in the same segment, is never the answer to anything."""
    async with connected() as (connection, peer):
        asking = asyncio.ensure_future(connection.ask(b"NOOP", WAIT_S))
        await peer.hear()
        await peer.say(b"250 ok\r\n250 EXTRA\r\n")

        assert (await asking).text == "ok"
        assert not connection.is_quiet
        with pytest.raises(LinkLost):
            await connection.ask(b"NOOP", WAIT_S)


async def test_half_a_reply_is_noticed() -> None:
    """The connection is open, but no new dialogue may begin."""
    async with connected() as (connection, peer):
        await peer.say(b"25")
        await wait_until_async(lambda: connection.has_heard_too_much, WAIT_S)

        assert not connection.is_quiet


async def test_a_silent_server_times_out() -> None:
    """And the connection with it: its reply may still come, to the wrong command."""
    async with connected() as (connection, _):
        assert await reason_of(asyncio.ensure_future(connection.ask(b"NOOP", 0.05))) == "timed_out"
        assert not connection.is_quiet


async def test_a_slow_server_does_not_stretch_its_time() -> None:
    """The timer is for the whole reply, not for each octet."""
    async with connected() as (connection, peer):
        asking = asyncio.ensure_future(connection.ask(b"NOOP", 0.2))
        while not asking.done():
            try:
                await peer.say(b"250-x\r\n")
            except OSError:
                break
            await asyncio.wait({asking}, timeout=0.02)
        assert await reason_of(asking) == "timed_out"


async def test_an_end_wakes_who_waits() -> None:
    """An EOF is noticed at once, and afterwards nothing can be written."""
    async with connected() as (connection, peer):
        asking = asyncio.ensure_future(connection.ask(b"NOOP", WAIT_S))
        await peer.hear()
        peer.hang_up()

        assert await reason_of(asking) == "disconnected"
        with pytest.raises(LinkLost):
            connection.check_open()


async def test_a_reply_before_the_end_counts() -> None:
    """What was said is read first."""
    async with connected() as (connection, peer):
        connection.expect(2)
        connection.write(b"A\r\nB\r\n")
        await peer.say(b"421 bye\r\n")
        peer.hang_up()

        assert (await connection.read_reply(WAIT_S)).code == 421
        assert await reason_of(asyncio.ensure_future(connection.read_reply(WAIT_S))) == "disconnected"


async def test_drain_waits_for_a_slow_reader() -> None:
    """What was written has left this process when it returns; a reader that stops altogether times it out."""
    async with connected() as (connection, peer):
        octets = b"x" * 4_000_000
        connection.write(octets)
        draining = asyncio.ensure_future(connection.drain(WAIT_S))
        heard = len(await peer.hear())
        assert not draining.done()
        while heard < len(octets):
            heard += len(await peer.hear())
        await draining

        connection.write(octets)
        with pytest.raises(LinkLost) as lost:
            await connection.drain(0.05)
        assert lost.value.reason == "timed_out"


async def test_drain_returns_for_a_reply() -> None:
    """A server that refuses without reading on is heard."""
    async with connected() as (connection, peer):
        connection.expect(1)
        connection.write(b"x" * 4_000_000)
        await peer.say(b"552 too much\r\n")
        await connection.drain(WAIT_S)

        assert connection.has_reply


async def test_quit_says_goodbye_and_closes() -> None:
    """QUIT is written, its reply awaited, the socket closed."""
    async with connected() as (connection, peer):
        quitting = asyncio.ensure_future(connection.quit(WAIT_S))
        assert await peer.hear() == b"QUIT\r\n"
        await peer.say(b"221 bye\r\n")
        await quitting
        assert await peer.hear() == b""


async def test_quit_is_bounded_and_quiet() -> None:
    """Neither silence nor a dead connection nor a half-finished dialogue makes it fail."""
    async with connected() as (connection, _):
        await connection.quit(0.05)
    async with connected() as (connection, peer):
        peer.hang_up()
        await connection.quit(WAIT_S)
    async with connected() as (connection, peer):
        connection.expect(1)
        await connection.quit(0.05)
        assert await peer.hear() == b""


async def test_a_transport_that_is_closing_is_no_connection() -> None:
    """What was lost before the take-over is known at once."""
    near, far = socket.socketpair()
    transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=near)
    transport.close()

    with pytest.raises(LinkLost):
        SmtpConnection(transport).check_open()
    far.close()
    await wait_until_async(lambda: near.fileno() == -1, WAIT_S)
