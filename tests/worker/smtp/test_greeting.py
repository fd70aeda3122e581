"""Greetings: those of SMTP, those of other services, none at all, and ports that wait for TLS."""

import asyncio
import os
import socket
import struct
from typing import Literal

import pytest

from postroom.testing import CertificateKit, SilentListener, SmtpServer, at
from postroom_contract.errors import EmailSessionException, IOException, PostroomError, SmtpCommandException
from postroom_worker.smtp import Access, Timeouts
from postroom_worker.smtp.dialing import dial
from postroom_worker.smtp.greeting import greet
from tests.support.waiting import wait_until_async
from tests.worker.smtp.sending import QUICK, access_to, fail_to_open, open_to


def told(error: PostroomError) -> tuple[int, str | None, bool, str]:
    """Return what decides about a retry."""
    return error.error_code, error.reason, error.retryable, error.facts["phase"]


@pytest.mark.parametrize(
    ("line", "retryable"),
    [("421 4.7.0 too many connections", True), ("450 4.3.2 not now", True), ("554 5.7.1 no", False), ("521 no", False)],
)
async def test_a_refusal_is_the_servers_own(line: str, retryable: bool) -> None:  # noqa: FBT001
    """Code, enhanced code and text are kept; only a 4yz may be tried again."""
    with SmtpServer(rules=[at("GREETING").reply_then_close(line)]) as server:
        error = await fail_to_open(server)

    assert isinstance(error, SmtpCommandException)
    assert (error.smtp_code, error.retryable, error.facts["phase"]) == (int(line[:3]), retryable, "greeting")
    assert line.endswith(error.facts["text"])
    assert error.message.startswith("The server refused the connection: ")


@pytest.mark.parametrize("banner", ["SSH-2.0-secret", "HTTP/1.1 400 secret", "+OK secret", "* OK secret", "120 secret"])
async def test_another_service_is_100_and_its_banner_untold(banner: str) -> None:
    """An error must not become a way to read the banners of an internal network."""
    with SmtpServer(rules=[at("GREETING").send(f"{banner}\r\n".encode())]) as server:
        error = await fail_to_open(server)

    assert told(error) == (100, "not_smtp", False, "greeting")
    assert "secret" not in f"{error.facts} {error} {error!r} {error.message}"


@pytest.mark.parametrize("greeting", [at("GREETING").drop(), at("GREETING").reset(), at("CONNECT").reset()])
async def test_a_connection_lost_before_the_greeting_may_be_tried_again(greeting: object) -> None:
    """A server that restarts looks like this."""
    with SmtpServer(rules=[greeting]) as server:  # type: ignore[list-item]
        error = await fail_to_open(server)

    assert isinstance(error, IOException)
    assert told(error)[:3] == (1200, "disconnected", True)
    assert error.facts["phase"] in {"connect", "greeting"}  # a reset may come before we look


async def test_a_server_that_has_gone_before_we_look_is_a_lost_connection() -> None:
    """A reset between connecting and greeting: the socket has no peer any more."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        access = Access("127.0.0.1", listener.getsockname()[1], use_ssl=False)
        connected = await dial(access.place, QUICK)
        peer, _ = listener.accept()
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()
        await wait_until_async(lambda: _has_no_peer(connected), 5)
        with pytest.raises(IOException) as raised:
            await greet(access, connected, QUICK)

    assert told(raised.value) == (1200, "disconnected", True, "greeting")
    assert connected.fileno() == -1


async def test_a_silent_port_is_100_in_the_end() -> None:
    """It was asked whether it waits for TLS, and did not answer that either."""
    with SilentListener() as listener:
        error = await fail_to_open(Access("127.0.0.1", listener.port, use_ssl=False))

    assert told(error) == (100, "timed_out", True, "greeting")


async def test_a_port_that_waits_for_tls_is_200(certificates: CertificateKit) -> None:
    """UseSsl false there: known after a short silence, long before the greeting would be given up."""
    patient = Timeouts(silence_s=0.05)
    with SmtpServer(tls="implicit", ssl_context=certificates.server_context()) as server:
        error = await fail_to_open(server, timeouts=patient)

    assert isinstance(error, EmailSessionException)
    assert told(error) == (200, "implicit_tls", False, "greeting")


async def test_a_tls_port_that_hangs_up_first_is_200(certificates: CertificateKit) -> None:
    """Some close a connection on which no TLS begins; they are asked afterwards."""
    rules = [at("TLS").on_connection(1).drop()]
    with SmtpServer(rules=rules, tls="implicit", ssl_context=certificates.server_context()) as server:
        error = await fail_to_open(server, timeouts=Timeouts())

    assert told(error) == (200, "implicit_tls", False, "greeting")


async def test_a_slow_greeting_is_waited_for() -> None:
    """The question on a second connection does not disturb the first."""
    with SmtpServer(rules=[at("GREETING").on_connection(1).hold(), at("GREETING").on_connection(2).stall()]) as server:
        opening = asyncio.ensure_future(open_to(server, timeouts=Timeouts(silence_s=0.01)))
        await wait_until_async(lambda: len(server.connections) == 2, 5)
        server.release()
        session = await opening
        assert session.is_alive
        await session.quit()


async def test_silence_within_implicit_tls_is_no_question(trusted: CertificateKit) -> None:
    """TLS stands: there is nothing to ask, and the greeting times out as 100."""
    rules = [at("GREETING").stall()]
    with SmtpServer(rules=rules, tls="implicit", ssl_context=trusted.server_context()) as server:
        error = await fail_to_open(access_to(server, use_ssl=True))

        assert told(error) == (100, "timed_out", True, "greeting")
        assert len(server.connections) == 1


@pytest.mark.parametrize("use_ssl", [False, True])
async def test_a_cancelled_wait_leaves_no_socket(use_ssl: bool, trusted: CertificateKit) -> None:  # noqa: FBT001
    """Wherever the cancellation falls: before the first step, in the handshake, while the greeting is awaited."""
    tls: Literal["implicit", "none"] = "implicit" if use_ssl else "none"
    rules = [at("TLS").on_connection(1).stall(), at("GREETING").stall()]
    with SmtpServer(rules=rules, tls=tls, ssl_context=trusted.server_context()) as server:
        access = access_to(server, use_ssl=use_ssl)
        for steps in (0, 1, 2, 5, 50):
            connected = await dial(access.place, QUICK)
            greeting = asyncio.ensure_future(greet(access, connected, Timeouts()))
            for _ in range(steps):
                await asyncio.sleep(0)
            if steps == 50:
                await wait_until_async(lambda: len(server.connections) == 5, 5)
            greeting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await greeting
            if steps == 0:
                connected.close()  # the coroutine never ran: the socket was never handed over
            await wait_until_async(lambda sock=connected: _is_closed(sock), 5)  # type: ignore[misc]


def _is_closed(connected: socket.socket) -> bool:
    try:
        os.fstat(connected.fileno())
    except OSError:
        return True
    return False


def _has_no_peer(connected: socket.socket) -> bool:
    try:
        connected.getpeername()
    except OSError:
        return True
    return False
