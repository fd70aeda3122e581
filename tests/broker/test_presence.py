"""What workers tell of themselves in Redis: it expires, it is read back, and no key is in it."""

from __future__ import annotations

import base64
import json
from dataclasses import asdict, replace
from typing import Any

import pytest

from postroom_broker import keys
from postroom_broker.presence import PRESENCE_EXPIRY_S, Presence, digests_of, present, show, withdraw
from postroom_contract.sealing import Keyring, generate_key
from tests.support.valkey import connect


def a_presence(name: str = "postroom@here") -> Presence:
    """One worker."""
    return Presence(name, "0.1.0", 200, 20.0, ("k1",), ("aa",), ("bb",))


def server_time(url: str) -> float:
    """The server's clock."""
    with connect(url) as client:
        return float(client.time()[0])


def test_what_is_shown_is_read_back_on_each_server(each_redis_url: str) -> None:
    """Two workers may have the same name; both are told, and the key expires."""
    with connect(each_redis_url) as client:
        show(client, "one", a_presence())
        show(client, "two", a_presence().standing_still_for(7.26))
        found = present(client, server_time(each_redis_url))

        assert {replace(worker, age_s=0.0) for worker in found} == {
            a_presence(),
            replace(a_presence(), standstill_s=7.3),
        }
        assert 0 < client.ttl(keys.WORKERS) <= PRESENCE_EXPIRY_S


def test_who_is_gone_is_forgotten(redis_url: str) -> None:
    """At once when it says so; otherwise when it has not been heard of for long, though others keep the key alive."""
    with connect(redis_url) as client:
        show(client, "one", a_presence("a"))
        show(client, "two", a_presence("b"))
        withdraw(client, "one")
        now_s = server_time(redis_url)

        assert [worker.name for worker in present(client, now_s)] == ["b"]
        assert present(client, now_s + PRESENCE_EXPIRY_S + 2) == []
        long_ago = client.hget(keys.WORKERS, "two").replace(str(int(now_s))[:6].encode(), b"100000", 1)
        client.hset(keys.WORKERS, "two", long_ago)
        show(client, "three", a_presence("c"))
        assert client.hkeys(keys.WORKERS) == [b"three"]


def test_a_newer_worker_may_tell_more() -> None:
    """And an older one less: it is there all the same."""
    told: dict[str, Any] = {**asdict(a_presence()), "mood": "good"}
    del told["age_s"], told["has_webhook_secret"]

    assert Presence.read(b"1 " + json.dumps(told).encode(), 1.0) == a_presence()


@pytest.mark.parametrize("entry", [b"", b"soon {}", b"1 []", b'1 {"name": "x"}', b"1 {", b"\xff \xff"])
def test_what_no_worker_of_ours_wrote_is_no_presence(entry: bytes) -> None:
    """Rubbish, or another program's, stops nobody."""
    assert Presence.read(entry, 1.0) is None


def test_rings_are_equal_when_their_digests_are(redis_url: str) -> None:
    """The digests depend on the keys alone, and neither they nor a repr holds a key."""
    first, second = generate_key("a"), generate_key("b")

    assert digests_of(Keyring.parse(f"{first},{second}")) == digests_of(Keyring.parse(f"{first} {second}"))
    assert digests_of(Keyring.parse(first)) != digests_of(Keyring.parse(second))
    ring = Keyring.parse(first)
    presence = Presence("n", "v", 1, 20.0, ring.ids, digests_of(ring), ())
    with connect(redis_url) as client:
        show(client, "one", presence)
        stored = client.hget(keys.WORKERS, "one")
    secret = first.partition(":")[2]
    assert secret.encode() not in stored
    assert base64.b64decode(secret).hex().encode() not in stored
    assert presence.key_digests[0] not in repr(presence)
