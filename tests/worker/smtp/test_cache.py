"""The sessions of a worker: created, reopened, reused and closed as the block says, within limits, key by key."""

import asyncio
from collections import Counter
from contextlib import ExitStack
from typing import Any

import pytest

from postroom.testing import CertificateKit, Rule, SilentListener, SmtpServer, at, free_port
from postroom_contract.errors import EmailSessionException, PostroomError, SmtpCommandException
from postroom_worker.smtp import Access, Limits, SessionCache, Timeouts, TransactionReport, TurnedAway
from tests.support.waiting import wait_until_async
from tests.worker.smtp.sending import (
    CONTENT,
    ENVELOPE,
    QUICK,
    USER,
    USERS,
    access_to,
    cache_of,
    no_commit,
    open_descriptors,
)

WAIT_S = 30


def send(cache: SessionCache, access: Access, *, close_session: bool = False) -> "asyncio.Task[TransactionReport]":
    """Begin to send one message."""
    sending = cache.send(access, ENVELOPE, CONTENT, on_commit=no_commit, close_session=close_session)
    return asyncio.create_task(sending)


async def send_all(cache: SessionCache, access: Access, count: int, *, close_session: bool = False) -> None:
    """Send so many, one after the other, all accepted."""
    for _ in range(count):
        assert (await send(cache, access, close_session=close_session)).was_accepted


def endings(server: SmtpServer) -> list[str | None]:
    """Return how a server's connections ended."""
    return [seen.ending for seen in server.connections]


def verbs(server: SmtpServer) -> Counter[str]:
    """Return how often a server saw each command."""
    return Counter(verb for seen in server.connections for verb in seen.verbs)


async def test_twenty_messages_take_one_session(trusted: CertificateKit) -> None:
    """One connection, one login, QUIT when the cache closes."""
    with SmtpServer(tls="implicit", ssl_context=trusted.server_context(), users=USERS, require_auth=True) as server:
        async with cache_of() as cache:
            await send_all(cache, access_to(server, use_ssl=True, **USER), 20)
            assert (cache.stats.opened, cache.stats.reused, cache.stats.idle) == (1, 19, 1)

        assert len(server.messages) == 20
        assert {name: count for name, count in verbs(server).items() if name in {"EHLO", "AUTH", "RSET", "QUIT"}} == {
            "EHLO": 1,
            "AUTH": 1,
            "QUIT": 1,
        }
        assert endings(server) == ["quit"]


async def test_close_session_ends_each(trusted: CertificateKit) -> None:
    """Twenty messages, twenty connections, each ended with QUIT; never more than three at once."""
    with SmtpServer(tls="starttls", ssl_context=trusted.server_context(), users=USERS) as server:
        async with cache_of() as cache:
            await send_all(cache, access_to(server, **USER), 20, close_session=True)
            assert cache.stats.opened == 20
            await wait_until_async(lambda: server.open_connections == 0, WAIT_S)

        assert endings(server) == ["quit"] * 20
        assert server.peak_connections <= 3


async def test_close_session_ends_idle_siblings_too() -> None:
    """All that is open with these details in this process, and nothing else."""
    with SmtpServer(rules=[at("END_OF_DATA").hold()]) as server, SmtpServer() as other:
        async with cache_of() as cache:
            await send_all(cache, access_to(other), 1)
            sendings = [send(cache, access_to(server)) for _ in range(3)]
            await wait_until_async(lambda: server.open_transactions == 3, WAIT_S)
            server.release()
            await asyncio.gather(*sendings)
            assert cache.stats.idle == 4

            await send_all(cache, access_to(server), 1, close_session=True)
            await wait_until_async(lambda: server.open_connections == 0, WAIT_S)
            assert endings(server) == ["quit"] * 3
            assert other.open_connections == 1


@pytest.mark.parametrize(
    "rule",
    [at("RCPT").nth(3).reply("550 5.1.1 no"), at("END_OF_DATA").nth(3).drop(), at("MAIL").nth(3).reply("451 later")],
)
async def test_close_session_holds_after_a_failure(rule: Rule) -> None:
    """However the message fared, its session and the idle ones are gone."""
    with SmtpServer(rules=[rule, at("END_OF_DATA").times(2).hold()]) as server:
        async with cache_of() as cache:
            sendings = [send(cache, access_to(server)) for _ in range(2)]
            await wait_until_async(lambda: server.open_transactions == 2, WAIT_S)
            server.release()
            await asyncio.gather(*sendings)
            assert cache.stats.idle == 2

            report = await send(cache, access_to(server), close_session=True)
            assert not report.was_accepted
            await wait_until_async(lambda: server.open_connections == 0, WAIT_S)
            assert cache.stats.idle == 0


async def test_close_session_holds_where_nothing_was_begun() -> None:
    """A message that the server cannot take closes the session all the same."""
    with SmtpServer(extensions=["SIZE 50"]) as server:
        async with cache_of() as cache:
            with pytest.raises(SmtpCommandException):
                await send(cache, access_to(server))
            assert cache.stats.idle == 1
            with pytest.raises(SmtpCommandException):
                await send(cache, access_to(server), close_session=True)
            await wait_until_async(lambda: server.open_connections == 0, WAIT_S)
        assert endings(server) == ["quit"]


async def test_a_cache_that_turns_away_begins_nothing_and_ends_what_it_began() -> None:
    """At the worker's end: who waits for a session is told, what is under way goes on, and nothing new is begun."""
    with SmtpServer(rules=[at("END_OF_DATA").hold()]) as server:
        async with cache_of(limits=Limits(most_connections=1)) as cache:
            under_way, waiting = (send(cache, access_to(server)) for _ in range(2))
            await wait_until_async(lambda: server.open_transactions == 1 and cache.stats.waiting == 1, WAIT_S)
            cache.turn_away()
            for turned_away in (waiting, send(cache, access_to(server))):
                with pytest.raises(TurnedAway):
                    await turned_away
            server.release()
            assert (await under_way).was_accepted


async def test_idle_sessions_can_be_closed_without_a_message() -> None:
    """For a message that wanted its session closed and was never begun; unknown details have none."""
    with SmtpServer() as server:
        async with cache_of() as cache:
            await send_all(cache, access_to(server), 1)
            cache.close_idle(access_to(server, host="127.0.0.1").key)
            assert cache.stats.idle == 1
            cache.close_idle(access_to(server).key)
            await wait_until_async(lambda: server.open_connections == 0, WAIT_S)

        assert endings(server) == ["quit"]


async def test_a_restarted_server_costs_no_failure() -> None:
    """Between two messages: the dead session is reopened, and nobody hears of it."""
    with SmtpServer() as server:
        async with cache_of() as cache:
            await send_all(cache, access_to(server), 1)
            await asyncio.to_thread(server.restart)
            await send_all(cache, access_to(server), 2)

            assert cache.stats.opened == 2
        assert len(server.messages) == 3


@pytest.mark.parametrize(
    "rule",
    [
        at("MAIL").nth(2).drop(),
        at("MAIL").nth(2).reset(),
        at("MAIL").nth(2).reply_then_close("421 4.4.2 Idle"),
        at("MAIL").nth(2).reply_then_close("451 4.4.2 Timeout waiting for data from client"),
    ],
    ids=["drop", "reset", "421", "451 4.4.2"],
)
async def test_a_session_found_dead_is_reopened_at_once(rule: Rule) -> None:
    """The first command of the next message finds out; the message goes over a new session, and once only."""
    with SmtpServer(rules=[rule]) as server:
        async with cache_of() as cache:
            await send_all(cache, access_to(server), 2)
            assert cache.stats.opened == 2

        assert len(server.messages) == 2


async def test_a_goodbye_while_idle_is_understood() -> None:
    """`421` and a close, with nobody asking: the session is gone before the next message."""
    with SmtpServer() as server:
        async with cache_of() as cache:
            await send_all(cache, access_to(server), 1)
            server.drop_connections("421 4.4.2 Idle too long")
            await wait_until_async(lambda: cache.stats.idle == 0, WAIT_S)
            await send_all(cache, access_to(server), 1)

        assert len(server.messages) == 2
        assert [seen.verbs.count("MAIL") for seen in server.connections] == [1, 1]


@pytest.mark.parametrize("rule", [at("MAIL").drop(), at("MAIL").reply_then_close("421 4.3.2 No")])
async def test_a_new_session_that_dies_is_a_failure(rule: Rule) -> None:
    """Reopening is for sessions that had been idle; otherwise a server that always hangs up would never be given up."""
    with SmtpServer(rules=[rule]) as server:
        async with cache_of() as cache:
            report = await send(cache, access_to(server))

        assert not report.was_accepted
        assert len(server.connections) == 1


async def test_a_dead_session_is_reopened_once() -> None:
    """What the new one says is the answer."""
    with SmtpServer(rules=[at("MAIL").nth(1), at("MAIL").reply_then_close("421 4.3.2 No")]) as server:
        async with cache_of() as cache:
            await send_all(cache, access_to(server), 1)
            report = await send(cache, access_to(server))

            assert report.mail is not None
            assert report.mail.code == 421
        assert len(server.connections) == 2


async def test_a_server_that_stays_away_is_the_error_of_the_reopening() -> None:
    """The dead session is no failure, the closed port is one."""
    with SmtpServer() as server:
        async with cache_of() as cache:
            await send_all(cache, access_to(server), 1)
            await asyncio.to_thread(server.stop)
            with pytest.raises(EmailSessionException) as raised:
                await send(cache, access_to(server))

    assert (raised.value.error_code, raised.value.reason) == (100, "refused")


async def test_another_password_is_another_session(trusted: CertificateKit) -> None:
    """Nobody sends over a connection that another password has opened; a wrong one is refused, not reused."""
    with SmtpServer(tls="implicit", ssl_context=trusted.server_context(), users=USERS) as server:
        async with cache_of() as cache:
            await send_all(cache, access_to(server, use_ssl=True, **USER), 1)
            with pytest.raises(EmailSessionException) as raised:
                await send(cache, access_to(server, use_ssl=True, username="user", password="wrong"))
            await send_all(cache, access_to(server, use_ssl=True, **USER), 1)

            assert raised.value.error_code == 300
            assert cache.stats.opened == 1
        assert [len(seen.auth_attempts) for seen in server.connections] == [1, 1]


async def test_a_session_in_doubt_is_never_used_again() -> None:
    """No reply to the dot: the connection is closed without QUIT, and the next message opens another."""
    with SmtpServer(rules=[at("END_OF_DATA").times(1).accepting().stall()]) as server:
        async with cache_of(timeouts=QUICK) as cache:
            report = await send(cache, access_to(server))
            assert report.committed_without_reply
            await send_all(cache, access_to(server), 1)
            assert cache.stats.opened == 2

        assert endings(server) == ["client_closed", "quit"]


async def test_a_session_is_given_up_after_its_messages() -> None:
    """The count of our limits; the place is kept until the connection is closed."""
    with SmtpServer() as server:
        async with cache_of(Limits(most_messages=2, most_connections=1)) as cache:
            await send_all(cache, access_to(server), 5)

        assert [seen.verbs.count("MAIL") for seen in server.connections] == [2, 2, 1]
        assert endings(server) == ["quit"] * 3
        assert server.peak_connections == 1


@pytest.mark.parametrize("limits", [Limits(most_idle_s=0.1), Limits(most_age_s=0.1)], ids=["idle", "age"])
async def test_a_session_is_closed_when_its_time_is_over(limits: Limits) -> None:
    """With QUIT, by itself, and without a trace in the cache."""
    with SmtpServer() as server:
        async with cache_of(limits) as cache:
            await send_all(cache, access_to(server), 1)
            await wait_until_async(lambda: server.open_connections == 0, WAIT_S)
            await wait_until_async(lambda: not cache._shelves, WAIT_S)

        assert endings(server) == ["quit"]


async def test_a_session_too_old_is_not_used_although_its_timer_is_late() -> None:
    """A busy loop may come to the next message before it comes to the timer."""
    with SmtpServer() as server:
        async with cache_of() as cache:
            await send_all(cache, access_to(server), 1)
            (shelf,) = cache._shelves.values()
            (session,) = shelf._idle
            session.opened_at_s -= Limits().most_age_s
            await send_all(cache, access_to(server), 1)

            assert cache.stats.opened == 2
        assert endings(server) == ["quit", "quit"]


async def test_an_idle_session_is_checked_before_its_use() -> None:
    """After a pause it is asked; one that does not answer in time is replaced, and the message loses nothing but time."""
    limits = Limits(unchecked_idle_s=-1)
    with SmtpServer(rules=[at("RSET").nth(2).stall()]) as server:
        async with cache_of(limits, QUICK) as cache:
            await send_all(cache, access_to(server), 3)
            assert (cache.stats.opened, cache.stats.reused) == (2, 1)

        assert len(server.messages) == 3


async def test_three_connections_and_no_more() -> None:
    """The fourth message waits for a session and uses it."""
    with SmtpServer(rules=[at("END_OF_DATA").hold()]) as server:
        async with cache_of() as cache:
            sendings = [send(cache, access_to(server)) for _ in range(10)]
            await wait_until_async(lambda: server.open_transactions == 3, WAIT_S)
            assert (cache.stats.busy, cache.stats.waiting) == (3, 7)
            server.release()
            reports = await asyncio.gather(*sendings)

            assert all(report.was_accepted for report in reports)
            assert (cache.stats.opened, cache.stats.reused) == (3, 7)
        assert server.peak_connections == 3
        assert len(server.messages) == 10


async def test_who_waits_can_give_up() -> None:
    """A cancelled wait leaves no place behind."""
    with SmtpServer(rules=[at("END_OF_DATA").hold()]) as server:
        async with cache_of(Limits(most_connections=1)) as cache:
            first, second, third = (send(cache, access_to(server)) for _ in range(3))
            await wait_until_async(lambda: cache.stats.waiting == 2, WAIT_S)
            second.cancel()
            with pytest.raises(asyncio.CancelledError):
                await second
            server.release()

            assert (await first).was_accepted
            assert (await third).was_accepted
        assert len(server.messages) == 2


@pytest.mark.parametrize("phase", ["CONNECT", "GREETING", "EHLO", "MAIL", "RSET"])
async def test_a_cancelled_message_gives_its_place_back(phase: Any) -> None:
    """Wherever it was: opening, checking or sending. The next message goes, and no descriptor is left."""
    before = open_descriptors()
    limits = Limits(most_connections=1, unchecked_idle_s=-1)
    with SmtpServer(rules=[at(phase).nth(1 if phase != "MAIL" else 2).stall()]) as server:
        async with cache_of(limits) as cache:
            if phase in {"RSET", "MAIL"}:
                await send_all(cache, access_to(server), 1)
            sending = send(cache, access_to(server))
            await wait_until_async(lambda: _has_reached(server, phase), WAIT_S)
            sending.cancel()
            with pytest.raises(asyncio.CancelledError):
                await sending
            assert cache.stats.busy == 0
            await send_all(cache, access_to(server), 1)
    await wait_until_async(lambda: open_descriptors() <= before, WAIT_S)


async def test_forty_accounts_send_at_once() -> None:
    """Three connections each: 120 transactions open at the same time in one process."""
    with SmtpServer(
        rules=[at("END_OF_DATA").hold()], users={f"u{n}": "p" for n in range(40)}, allow_cleartext_auth=True
    ) as server:
        accesses = [
            access_to(server, allow_cleartext=True, username=f"u{number}", password="p") for number in range(40)
        ]
        async with cache_of() as cache:
            sendings = [send(cache, access) for access in accesses for _ in range(3)]
            await wait_until_async(lambda: server.open_transactions == 120, 30)
            server.release()
            reports = await asyncio.gather(*sendings)

            assert all(report.was_accepted and report.is_authenticated for report in reports)
            assert cache.stats.opened == 120
        assert server.peak_transactions == 120
        assert Counter(message.username for message in server.messages) == {f"u{number}": 3 for number in range(40)}


async def test_one_hanging_server_delays_nobody_else() -> None:
    """Silent before the greeting, or in the middle of a transaction: other keys send meanwhile."""
    with ExitStack() as stack:
        silent = stack.enter_context(SilentListener())
        stalled = stack.enter_context(SmtpServer(rules=[at("MAIL").stall()]))
        healthy = stack.enter_context(SmtpServer())
        async with cache_of() as cache:
            hanging = [send(cache, Access("127.0.0.1", silent.port, use_ssl=False)) for _ in range(5)]
            hanging += [send(cache, access_to(stalled)) for _ in range(5)]
            await wait_until_async(lambda: stalled.open_connections == 3, WAIT_S)
            await send_all(cache, access_to(healthy), 20)

            assert not any(task.done() for task in hanging)
            for task in hanging:
                task.cancel()
            await asyncio.wait(hanging)
            assert all(task.cancelled() for task in hanging)


async def test_failures_leave_nothing_behind() -> None:
    """Each failed opening frees its place and its key."""
    access = Access("127.0.0.1", free_port(), use_ssl=False)
    async with cache_of() as cache:
        sendings = [send(cache, access) for _ in range(10)]
        errors = await asyncio.gather(*sendings, return_exceptions=True)

        assert [error.error_code for error in errors if isinstance(error, PostroomError)] == [100] * 10
        assert cache._shelves == {}


async def test_closing_is_bounded_in_time() -> None:
    """A server that ignores QUIT does not hold the worker."""
    with SmtpServer(rules=[at("QUIT").stall()]) as server:
        cache = SessionCache(timeouts=QUICK, local_name="client.example")
        await send_all(cache, access_to(server), 1)
        async with asyncio.timeout(WAIT_S):
            await cache.aclose()

        await wait_until_async(lambda: server.open_connections == 0, WAIT_S)
        assert server.connections[0].verbs[-1] == "QUIT"


async def test_a_session_that_is_busy_while_the_cache_closes_says_goodbye_afterwards() -> None:
    """The message is not disturbed, and the session is not kept."""
    with SmtpServer(rules=[at("END_OF_DATA").hold()]) as server:
        async with cache_of() as cache:
            sending = send(cache, access_to(server))
            await wait_until_async(lambda: server.open_transactions == 1, WAIT_S)
            await cache.aclose()
            server.release()

            assert (await sending).was_accepted
            await wait_until_async(lambda: server.open_connections == 0, WAIT_S)
        assert endings(server) == ["quit"]


def test_a_bad_local_name_stops_the_start() -> None:
    """It would add to the EHLO command."""
    with pytest.raises(ValueError, match="local host name"):
        SessionCache(local_name="a\r\nMAIL FROM:<>")


async def test_the_timeouts_reach_the_opening() -> None:
    """A silent port is given up when they say so."""
    with SilentListener() as listener:
        async with cache_of(timeouts=Timeouts(greeting_s=0.1, silence_s=0.05, probe_s=0.02)) as cache:
            with pytest.raises(EmailSessionException) as raised:
                await send(cache, Access("127.0.0.1", listener.port, use_ssl=False))

    assert raised.value.reason == "timed_out"


def _has_reached(server: SmtpServer, phase: str) -> bool:
    if phase in {"CONNECT", "GREETING"}:
        return bool(server.connections)
    return any(seen.verbs.count(phase) == (2 if phase == "MAIL" else 1) for seen in server.connections if seen.verbs)
