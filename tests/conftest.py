"""Fixtures that every test may ask for: a real Redis-compatible server, and a clean database on it.

Whoever uses `redis_url` is checked afterwards for keys that would stay for ever. Fixtures of one side only belong into
that side's own conftest.
"""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support.leaked_keys import find_leaked_keys
from tests.support.redis_servers import Kind, kinds
from tests.support.valkey import ValkeyServer, connect, find_server

# No test asserts how long anything takes, and these machines are noisy.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

# A shell starts `make test &` with Ctrl-C ignored, and what the tests start and interrupt would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# So does `nohup` with SIGHUP; the run itself goes on ignoring it.
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, lambda *_: None)


def require(what: str, *, is_there: bool) -> None:
    """Skip the test when an optional part of this machine is missing; fail it where CI is set, where all must run."""
    if is_there:
        return
    if os.environ.get("CI"):
        pytest.fail(f"{what} is missing, and CI is set: .ci/run should have installed it", pytrace=False)
    pytest.skip(f"{what} is missing on this machine")


@pytest.fixture(scope="session")
def valkey_program() -> Path:
    """The server program, for a test that starts one of its own (`ValkeyServer(valkey_program, tmp_path)`)."""
    program = find_server()
    require("a Valkey or Redis server", is_there=program is not None)
    assert program is not None
    return program


@pytest.fixture(scope="session")
def valkey(valkey_program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    """One server for the whole run; use `redis_url` unless the test is about the server itself."""
    with ValkeyServer(valkey_program, tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture
def redis_url(valkey: ValkeyServer) -> Iterator[str]:
    """The URL of an empty database. Afterwards, with all that used it stopped, no key may stay for ever."""
    with connect(valkey.url) as client:
        client.flushall()
    yield valkey.url
    leaked = find_leaked_keys(valkey.url)
    assert not leaked, f"keys without expiry, not named in tests/support/leaked_keys.py: {leaked}"


def program_of(kind: Kind) -> Path:
    """The program of a kind of server; without it the test is skipped, or fails where CI is set."""
    program = kind.find()
    require(kind.what, is_there=program is not None)
    assert program is not None
    return program


@pytest.fixture(scope="module", params=kinds(), ids=lambda kind: kind.name)
def each_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    """Each kind of server in turn, for tests of what runs Lua; `each_redis_url` is an empty database on it."""
    with ValkeyServer(program_of(request.param), tmp_path_factory.mktemp(request.param.name)) as server:
        yield server


@pytest.fixture
def each_redis_url(each_server: ValkeyServer) -> Iterator[str]:
    """The URL of an empty database on each kind of server, which knows no script yet. Afterwards as for `redis_url`."""
    with connect(each_server.url) as client:
        client.flushall()
        client.script_flush()
    yield each_server.url
    leaked = find_leaked_keys(each_server.url)
    assert not leaked, f"keys without expiry, not named in tests/support/leaked_keys.py: {leaked}"
