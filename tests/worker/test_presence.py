"""A worker shows while it lives: from its start to its end, and again after Redis was away."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from postroom.testing import CertificateKit
from postroom_broker.presence import Presence, present
from postroom_worker import presence
from postroom_worker.presence import Beat
from tests.support.post import Post
from tests.support.redis_proxy import RedisProxy
from tests.support.valkey import ValkeyServer, connect
from tests.support.waiting import wait_until

SOMEBODY = Presence("w@here", "1", 1, 20.0, ("k",), ("aa",), ("bb",))


def shown(url: str) -> list[Presence]:
    """Who shows now."""
    with connect(url) as client:
        return present(client, float(client.time()[0]))


def test_worker_shows_from_its_start_to_its_end(redis_url: str, tmp_path: Path) -> None:
    """Its name, version, concurrency and key ids; after SIGTERM nothing is left."""
    post = Post(redis_url, tmp_path, CertificateKit(tmp_path).ca_file)
    with post.worker("-c", "7", "-n", "w@here"):
        (worker,) = wait_until(lambda: shown(redis_url), 20, "the worker to show")
        assert (worker.name, worker.concurrency, worker.key_ids) == ("w@here", 7, ("seal",))
        assert worker.standstill_s < 5
        assert worker.lease_s == 20
    assert shown(redis_url) == []


def test_beat_goes_on_when_redis_is_back(valkey: ValkeyServer, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was not told while it was away is told afterwards."""
    monkeypatch.setattr(presence, "SHOW_EVERY_S", 0.05)
    standstills: Any = iter(range(1000))
    with RedisProxy(valkey.port) as proxy:
        beat = Beat(proxy.url, SOMEBODY, lambda: float(next(standstills)))
        beat.start()
        try:
            wait_until(lambda: shown(redis_url), 10, "the first beat")
            proxy.cut()
            told = shown(redis_url)[0].standstill_s
            wait_until(lambda: shown(redis_url)[0].standstill_s > told + 2, 10, "later beats")
        finally:
            beat.stop()

    assert shown(redis_url) == []


def test_beat_without_redis_ends_when_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker whose Redis is away can stop."""
    monkeypatch.setattr(presence, "SHOW_EVERY_S", 0.05)
    beat = Beat("redis://127.0.0.1:1/0", SOMEBODY, lambda: 0.0)
    beat.start()
    beat.stop()

    assert not beat._thread.is_alive()
