"""Words that the SMTP tests use: a message, its envelope, how to reach a test server, and how to send."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypedDict

from postroom.testing import SmtpServer
from postroom_contract.errors import PostroomError
from postroom_worker.smtp import Access, Envelope, Limits, SessionCache, Timeouts, TransactionReport
from postroom_worker.smtp.opening import open_session
from postroom_worker.smtp.session import SmtpSession

CONTENT = b"Subject: one\r\n\r\n.a dot first\r\n..two\r\n.\r\nlast line\r\n"
ENVELOPE = Envelope("sender@here.example", ("one@there.example",))
# More than the kernel's buffers on loopback take in at once, so that writing has to wait for the reader.
LARGE = b"Subject: large\r\n\r\n" + (b"x" * 76 + b"\r\n") * 160_000


class Login(TypedDict):
    """Credentials as keywords."""

    username: str
    password: str


USER: Login = {"username": "user", "password": "secret"}
USERS = {"user": "secret"}

# Long enough for a busy machine, short enough for a test that has to wait one of them out.
QUICK = Timeouts(
    resolve_s=5,
    connect_s=0.3,
    greeting_s=0.6,
    silence_s=0.1,
    probe_s=0.3,
    tls_s=0.5,
    command_s=0.5,
    envelope_s=0.5,
    data_s=0.5,
    block_s=0.5,
    final_s=0.5,
    interrupted_s=0.3,
    check_s=0.3,
    quit_s=0.3,
)
DEFAULT = Timeouts()


async def no_commit(_admitted: tuple[str, ...]) -> None:
    """Have nothing to note before the last octets leave."""


def access_to(
    server: SmtpServer,
    *,
    use_ssl: bool = False,
    host: str = "localhost",
    allow_cleartext: bool = False,
    username: str | None = None,
    password: str | None = None,
) -> Access:
    """Return the way to a test server."""
    return Access(host, server.port, use_ssl, allow_cleartext, username, password)


def envelope_to(*names: str) -> Envelope:
    """Return an envelope to these local parts."""
    return Envelope("sender@here.example", tuple(f"{name}@there.example" for name in names))


async def open_to(
    server: SmtpServer | Access, *, timeouts: Timeouts = DEFAULT, limits: Limits | None = None
) -> SmtpSession:
    """Open a session as the cache does."""
    access = server if isinstance(server, Access) else access_to(server)
    return await open_session(access, local_name="client.example", timeouts=timeouts, limits=limits or Limits())


async def fail_to_open(server: SmtpServer | Access, *, timeouts: Timeouts = QUICK) -> PostroomError:
    """Return the error with which opening ends."""
    try:
        session = await open_to(server, timeouts=timeouts)
    except PostroomError as error:
        return error
    session.abort()
    raise AssertionError("the session was opened")


async def send_once(
    server: SmtpServer,
    envelope: Envelope = ENVELOPE,
    content: bytes = CONTENT,
    *,
    timeouts: Timeouts = DEFAULT,
    limits: Limits | None = None,
) -> TransactionReport:
    """Open a session, send one message, and close it."""
    session = await open_to(server, timeouts=timeouts, limits=limits)
    try:
        return await session.send(envelope, content, no_commit)
    finally:
        await session.quit()


@asynccontextmanager
async def cache_of(
    limits: Limits | None = None, timeouts: Timeouts = DEFAULT, local_name: str = "client.example"
) -> AsyncIterator[SessionCache]:
    """Hand out a cache, close it afterwards, and see that no task of it goes on."""
    cache = SessionCache(limits=limits, timeouts=timeouts, local_name=local_name)
    try:
        yield cache
    finally:
        await cache.aclose()
    ours = asyncio.current_task()
    assert [task for task in asyncio.all_tasks() if task is not ours] == []
    assert cache.stats.busy == cache.stats.idle == cache.stats.waiting == 0


def open_descriptors() -> int:
    """Return how many file descriptors this process has."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())
