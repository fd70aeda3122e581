"""Names and sockets: which failure is 100, which is 101, and which is this machine's own."""

import asyncio
import errno
import resource
import socket
import subprocess
import sys
from typing import Any

import pytest

from postroom.testing import FullListener, SmtpServer, free_port
from postroom_contract.error_codes import ErrorCode
from postroom_contract.errors import IOException, PostroomError
from postroom_worker.smtp.dialing import MOST_ADDRESSES_TRIED, dial, resolve
from postroom_worker.smtp.limits import Timeouts
from postroom_worker.smtp.place import Place
from tests.conftest import require
from tests.support.narrow_network import can_be_had
from tests.support.post import ROOT
from tests.support.waiting import wait_until_async
from tests.worker.smtp.sending import QUICK


async def failure(host: str, port: int = 25, timeouts: Timeouts = QUICK) -> PostroomError:
    """Return the error with which dialing ends."""
    with pytest.raises(PostroomError) as raised:
        await dial(Place(host, port), timeouts)
    return raised.value


def told(error: PostroomError) -> tuple[int, str | None, bool, str]:
    """Return what decides about a retry."""
    return error.error_code, error.reason, error.retryable, error.facts["phase"]


def resolve_to(monkeypatch: pytest.MonkeyPatch, *addresses: tuple[socket.AddressFamily, tuple[Any, ...]]) -> None:
    """Let the system's resolver return these."""
    found = [(family, socket.SOCK_STREAM, 6, "", address) for family, address in addresses]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_more: found)


def fail_to_resolve(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Let the system's resolver fail."""

    def fail(*_args: object, **_more: object) -> None:
        raise socket.gaierror(number, "in vain")

    monkeypatch.setattr(socket, "getaddrinfo", fail)


async def test_a_closed_port_is_100() -> None:
    """Refused: nothing listens, or not yet."""
    port = free_port()

    error = await failure("127.0.0.1", port)

    assert told(error) == (100, "refused", True, "connect")
    assert (error.facts["host"], error.facts["port"]) == ("127.0.0.1", port)


async def test_a_port_that_does_not_answer_is_100() -> None:
    """The connect timer ends it."""
    with FullListener() as listener:
        assert told(await failure("127.0.0.1", listener.port)) == (100, "timed_out", True, "connect")


async def test_a_host_without_a_way_to_it_is_100(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system says so at once for a network it has no route to."""
    # A link-local address needs a scope; without one there is no way.
    assert told(await failure("fe80::1")) in {
        (100, "unreachable", True, "connect"),
        (100, "timed_out", True, "connect"),
    }


# A loopback without IPv6, where `localhost` may still name ::1.
WITHOUT_IPV6 = """
import asyncio
from pathlib import Path
from tests.support.narrow_network import enter
from tests.worker.smtp.test_dialing import failure, told
enter()
Path("/proc/sys/net/ipv6/conf/all/disable_ipv6").write_text("1")
print(told(asyncio.run(failure("::1"))))
"""


def test_a_machine_without_ipv6_has_no_way_to_it() -> None:
    """That is no lack of sockets, although the system says it in the same word: 100, as of any other dead address."""
    require("permission to make a network namespace (Linux)", is_there=can_be_had())
    said = subprocess.check_output([sys.executable, "-c", WITHOUT_IPV6], cwd=ROOT, text=True)

    assert said.strip() == str((100, "unreachable", True, "connect"))


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a..b", ".", "x" * 64 + ".example", "nul\0.example"])
async def test_an_unknown_or_impossible_host_is_101(host: str) -> None:
    """Whether the resolver says no or the name cannot even be asked for."""
    error = await failure(host)

    assert error.error_code == 101
    assert error.facts["phase"] == "resolve"


@pytest.mark.parametrize(
    ("number", "reason", "retryable"),
    [
        (socket.EAI_NONAME, None, False),
        (socket.EAI_NODATA, None, False),
        (socket.EAI_AGAIN, "dns_temporary", True),
        (socket.EAI_FAIL, "dns_temporary", True),
        (socket.EAI_SYSTEM, "dns_temporary", True),
    ],
)
async def test_no_is_told_from_not_now(
    number: int,
    reason: str | None,
    retryable: bool,  # noqa: FBT001
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A name server that does not answer says nothing about the host."""
    fail_to_resolve(monkeypatch, number)

    assert told(await failure("mail.example")) == (101, reason, retryable, "resolve")


async def test_all_addresses_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dead address before a living one costs nothing but time."""
    with SmtpServer() as server:
        resolve_to(
            monkeypatch,
            (socket.AF_INET, ("127.0.0.1", free_port())),
            (socket.AF_INET, ("127.0.0.1", server.port)),
        )
        connected = await dial(Place("mail.example", 25), QUICK)
        assert connected.getpeername() == ("127.0.0.1", server.port)
        await wait_until_async(lambda: server.open_connections == 1, 5)
        connected.close()


async def test_not_every_address_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name with a hundred dead addresses does not keep a message for half an hour."""
    with SmtpServer() as server:
        dead = (socket.AF_INET, ("127.0.0.1", free_port()))
        resolve_to(monkeypatch, *[dead] * MOST_ADDRESSES_TRIED, (socket.AF_INET, ("127.0.0.1", server.port)))

        assert told(await failure("mail.example")) == (100, "refused", True, "connect")
        assert server.connections == ()


async def test_a_refusal_tells_more_than_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where all addresses fail, the error names what is news about the port."""
    with FullListener() as listener:
        resolve_to(
            monkeypatch,
            (socket.AF_INET, ("127.0.0.1", free_port())),
            (socket.AF_INET, ("127.0.0.1", listener.port)),
        )
        assert told(await failure("mail.example")) == (100, "refused", True, "connect")


async def test_numbers_are_not_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address is its own answer."""
    fail_to_resolve(monkeypatch, socket.EAI_FAIL)

    assert await resolve(Place("192.0.2.1", 25), 1) == [(socket.AF_INET, ("192.0.2.1", 25))]
    assert await resolve(Place("2001:db8::1", 25), 1) == [(socket.AF_INET6, ("2001:db8::1", 25))]


async def test_a_machine_without_sockets_says_so() -> None:
    """That is no news about the server, and passes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    spare = socket.socket()
    resource.setrlimit(resource.RLIMIT_NOFILE, (spare.fileno(), hard))
    try:
        error = await failure("127.0.0.1", free_port_without_socket())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        spare.close()

    assert isinstance(error, IOException)
    assert (error.code, error.retryable) == (ErrorCode.LOCAL_RESOURCE, True)
    assert isinstance(error.__cause__, OSError)
    assert error.__cause__.errno == errno.EMFILE


def free_port_without_socket() -> int:
    """Return a port; nothing is ever connected to it."""
    return 9


async def test_a_cancelled_attempt_leaves_no_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    """The socket of an attempt that is given up is closed."""
    made: list[socket.socket] = []
    original = socket.socket.setblocking

    def note(self: socket.socket, flag: bool) -> None:  # noqa: FBT001
        made.append(self)
        original(self, flag)

    with FullListener() as listener:
        monkeypatch.setattr(socket.socket, "setblocking", note)
        dialing = asyncio.ensure_future(dial(Place("127.0.0.1", listener.port), Timeouts()))
        await wait_until_async(lambda: made, 5)
        dialing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await dialing
    assert [connection.fileno() for connection in made] == [-1]
