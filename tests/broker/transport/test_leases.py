"""The leases of one process."""

from collections.abc import Iterator
from typing import Any

import pytest

from postroom_broker.connection import translated
from postroom_broker.transport.leases import MOST_UNTOLD, Leases
from postroom_contract.errors import BrokerUnavailable
from tests.broker.transport.conftest import NAMES
from tests.support.valkey import ValkeyServer, connect


@pytest.fixture
def leases(client: Any) -> Leases:
    """A process that holds nothing yet."""
    return Leases(client, NAMES)


def take(client: Any, leases: Leases, *names: str) -> None:
    """Hold messages of these names, long not renewed."""
    for name in names:
        client.zadd(NAMES.index, {name: 1})
        client.hset(NAMES.unacked, name, "record")
        leases.hold(name)


def test_no_two_claims_share_a_lease(client: Any) -> None:
    """Neither in one process nor in two."""
    one, other = Leases(client, NAMES), Leases(client, NAMES)
    assert len({one.next_prefix(), one.next_prefix(), other.next_prefix(), other.next_prefix()}) == 4


def test_acknowledgements_are_told_together(client: Any, leases: Leases) -> None:
    """They wait for the flush, which removes the messages and no others."""
    take(client, leases, "a", "b", "c")
    leases.acknowledge("a")
    leases.acknowledge("b")
    assert client.hlen(NAMES.unacked) == 3
    leases.flush()
    leases.flush()
    assert client.hkeys(NAMES.unacked) == [b"c"]
    assert client.zrange(NAMES.index, 0, -1) == [b"c"]
    assert leases.held() == ["c"]
    assert leases.holds("c")
    assert not leases.holds("a")


def test_a_crowd_of_acknowledgements_does_not_wait(client: Any, leases: Leases) -> None:
    """So that a busy loop does not put off all of them."""
    names = [f"m{n}" for n in range(MOST_UNTOLD)]
    take(client, leases, *names)
    for name in names:
        leases.acknowledge(name)
    assert client.exists(NAMES.unacked) == 0


def test_renewal_is_one_call_and_tells_what_was_lost(client: Any, leases: Leases) -> None:
    """Leases that are held are dated anew, those that are gone are reported once, forgotten ones are left."""
    take(client, leases, "mine", "gone", "forgotten")
    client.zrem(NAMES.index, "gone")
    leases.forget("forgotten")
    calls = client.info("commandstats").get("cmdstat_evalsha", {"calls": 0})["calls"]
    assert leases.renew() == ["gone"]
    assert leases.renew() == []
    assert client.info("commandstats")["cmdstat_evalsha"]["calls"] <= calls + 2
    assert client.zscore(NAMES.index, "mine") > 1
    assert client.zscore(NAMES.index, "forgotten") == 1
    assert Leases(client, NAMES).renew() == []


def test_what_is_done_but_not_told_keeps_its_lease(client: Any, leases: Leases) -> None:
    """While the acknowledgement waits for a broker to return, nobody else may get the message."""
    take(client, leases, "done")
    leases.acknowledge("done")
    assert leases.renew() == []
    assert client.zscore(NAMES.index, "done") > 1


@pytest.fixture
def own_server(valkey_program: Any, tmp_path: Any) -> Iterator[ValkeyServer]:
    """A server to stop."""
    with ValkeyServer(valkey_program, tmp_path, append_only=True) as server:
        yield server


def test_acknowledgements_survive_an_outage(own_server: ValkeyServer) -> None:
    """A flush that fails is repeated by the next one."""
    with connect(own_server.url) as client:
        leases = Leases(client, NAMES)
        take(client, leases, "a")
        leases.acknowledge("a")
        own_server.kill()
        with pytest.raises(BrokerUnavailable), translated(client):
            leases.flush()
        own_server.start()
        leases.flush()
        assert client.exists(NAMES.unacked) == 0
