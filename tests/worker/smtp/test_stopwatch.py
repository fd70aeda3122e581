"""The stopwatch of a session: each lap belongs to one step."""

from __future__ import annotations

import asyncio

import pytest

from postroom.testing import CertificateKit, SmtpServer
from postroom_worker.smtp import Access, Envelope, SessionCache, Step, TransactionReport
from postroom_worker.smtp.stopwatch import Stopwatch

OPENING = {Step.CONNECT, Step.GREETING}
SENDING = {Step.ENVELOPE, Step.BODY, Step.COMMIT, Step.REPLY}


def test_laps_of_one_step_add_up_to_the_whole() -> None:
    """No time is lost between laps, and what came earlier is kept."""
    watch = Stopwatch({Step.CONNECT: 5.0})
    watch.lap(Step.GREETING)
    first = watch.seconds[Step.GREETING]
    watch.lap(Step.GREETING)

    assert watch.seconds.keys() == {Step.CONNECT, Step.GREETING}
    assert watch.seconds[Step.CONNECT] == 5.0
    assert watch.seconds[Step.GREETING] >= first >= 0


async def _send(access: Access, times: int) -> list[TransactionReport]:
    async def commit(admitted: tuple[str, ...]) -> None:
        """Note nothing."""

    cache = SessionCache()
    envelope = Envelope("clerk@example.com", ("ann@example.com",))
    try:
        return [await cache.send(access, envelope, b"A: b\r\n\r\nHello\r\n", on_commit=commit) for _ in range(times)]
    finally:
        await cache.aclose()


def test_the_first_message_of_a_session_bears_the_time_of_its_opening() -> None:
    """The second one found the session open, and is told nothing of it."""
    with SmtpServer() as server:
        first, second = asyncio.run(_send(Access("127.0.0.1", server.port, use_ssl=False, allow_cleartext=True), 2))

    assert first.seconds.keys() == OPENING | SENDING
    assert second.seconds.keys() == SENDING
    assert all(seconds >= 0 for seconds in first.seconds.values())


@pytest.mark.parametrize("tls", ["implicit", "starttls"])
def test_tls_and_the_login_have_times_of_their_own(
    tls: str, certificates: CertificateKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both kinds of TLS are seen, and so is AUTH."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.ca_file))
    server = SmtpServer(tls=tls, ssl_context=certificates.server_context(), users={"ann": "secret"})  # type: ignore[arg-type]
    with server:
        access = Access(
            "localhost", server.port, tls == "implicit", allow_cleartext=False, username="ann", password="secret"
        )
        (report,) = asyncio.run(_send(access, 1))

    assert report.seconds.keys() == OPENING | {Step.TLS, Step.AUTH} | SENDING
