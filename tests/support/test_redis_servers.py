"""The servers of the matrix are what their names promise, or the tests on them would prove nothing."""

from pathlib import Path

import pytest

from tests.conftest import program_of
from tests.support.redis_servers import KINDS, Kind, kinds
from tests.support.valkey import ValkeyServer, connect

# What each kind says in INFO.
VERSIONS = {
    "valkey": ("valkey_version", "9."),
    "redis-6.2": ("redis_version", "6.2."),
    "redis-7": ("redis_version", "7."),
    "redis-8": ("redis_version", "8."),
}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_each_server_is_of_its_kind(kind: Kind, tmp_path: Path) -> None:
    """Program and version belong together."""
    field, version = VERSIONS[kind.name]
    with ValkeyServer(program_of(kind), tmp_path) as server, connect(server.url) as client:
        assert client.info("server")[field].startswith(version)


def test_no_kind_is_left_out() -> None:
    """What is missing on this machine is named all the same: it is skipped, or fails where CI is set."""
    assert {kind.name for kind in KINDS} == VERSIONS.keys()
    assert kinds()[: len(KINDS)] == list(KINDS)
