"""The proxy that other tests rely on: it forwards faithfully, and each fault is the one it says."""

import pytest

from tests.support.redis_proxy import Fault, RedisProxy
from tests.support.valkey import ValkeyServer, connect


def test_it_only_forwards_without_a_fault(valkey: ValkeyServer, redis_url: str) -> None:
    """A conversation through the proxy is one with the server, and after a cut a new one can begin."""
    with RedisProxy(valkey.port) as proxy, connect(proxy.url) as client:
        assert client.set("key", b"x" * 100_000, ex=60)
        proxy.cut()
        assert client.get("key") == b"x" * 100_000


@pytest.mark.parametrize("fault", Fault)
def test_a_fault_strikes_at_its_word_only(valkey: ValkeyServer, redis_url: str, fault: Fault) -> None:
    """Other commands pass; the named one arrives or not, as the fault says, and is never answered."""
    with (
        RedisProxy(valkey.port, b"INCR", fault) as proxy,
        connect(f"{proxy.url}?socket_timeout=0.3") as client,
        connect(redis_url) as direct,
    ):
        assert client.set("key", 1, ex=60)
        with pytest.raises(Exception, match=r"(?i)timeout|closed"):
            client.execute_command("INCR", "key")

        arrived = direct.get("key") != b"1"
        assert arrived == (fault in {Fault.LOSE_ANSWER, Fault.CUT_AFTER})
