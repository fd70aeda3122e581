"""Whether a port that says nothing waits for TLS."""

import asyncio
import socket

import pytest

from postroom.testing import CertificateKit, FullListener, SilentListener, SmtpServer, at, free_port
from postroom.testing.smtp_script import Rule
from postroom_worker.smtp.tls_probe import client_hello, speaks_tls

TIMEOUT_S = 0.5


async def ask(port: int) -> bool:
    """Ask a port on loopback."""
    return await speaks_tls(socket.AF_INET, ("127.0.0.1", port), "localhost", TIMEOUT_S)


async def test_a_tls_server_is_recognised(certificates: CertificateKit) -> None:
    """Whatever its certificate is worth: nothing is verified and nothing said."""
    for context in (certificates.server_context(), certificates.expired_context()):
        with SmtpServer(tls="implicit", ssl_context=context) as server:
            assert await ask(server.port)


async def test_a_server_that_refuses_us_in_tls_is_recognised(certificates: CertificateKit) -> None:
    """An alert is TLS, too."""
    with SmtpServer(tls="implicit", ssl_context=certificates.tls_1_1_context()) as server:
        assert await ask(server.port)


@pytest.mark.parametrize("rule", [at("GREETING").reply("220 ready"), at("GREETING").stall(), at("CONNECT").drop()])
async def test_a_server_in_clear_text_is_not(rule: Rule) -> None:
    """Whether it greets, stays silent or hangs up."""
    with SmtpServer(rules=[rule]) as server:
        assert not await ask(server.port)


async def test_no_server_is_not() -> None:
    """A closed port, a silent one and one that cannot be reached answer no, in time."""
    assert not await ask(free_port())
    with SilentListener() as silent, FullListener() as full:
        answers = await asyncio.gather(ask(silent.port), ask(full.port))
    assert not any(answers)


def test_the_question_is_a_client_hello() -> None:
    """A handshake record with a ClientHello in it, naming the host."""
    hello = client_hello("mail.example.")

    assert (hello[0], hello[1], hello[5]) == (0x16, 3, 1)
    assert b"mail.example" in hello
