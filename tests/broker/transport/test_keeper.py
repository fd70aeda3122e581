"""The keeper, round by round and as a thread, on a real server."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from postroom_broker.transport.delays import Delays
from postroom_broker.transport.keeper import Keeper
from postroom_broker.transport.leases import Leases
from postroom_broker.transport.names import Terms
from postroom_broker.transport.returns import Returns
from tests.broker.transport.conftest import NAMES, message
from tests.support.valkey import ValkeyServer, connect
from tests.support.waiting import wait_until

LEASE_S = 0.8


def make(client: Any, is_alive: Callable[[], bool] = lambda: True) -> tuple[Keeper, Leases]:
    """Return a keeper that has not started, and the leases that it renews."""
    leases = Leases(client, NAMES)
    returns = Returns(client, NAMES, Terms(LEASE_S, 20))
    return Keeper(leases, returns, Delays(client, NAMES), LEASE_S, is_alive), leases


def hold(client: Any, lease: str) -> None:
    """Put a message under a lease that has lapsed long ago."""
    client.hset(NAMES.unacked, lease, f'[{message("a", "postroom.q")},"","postroom.q"]')
    client.zadd(NAMES.index, {lease: 1})


def turn_until(keeper: Keeper, condition: Callable[[], Any]) -> None:
    """Let rounds pass without a thread."""

    def turn() -> Any:
        keeper.round()
        return condition()

    wait_until(turn, 10)


def test_leases_are_renewed_only_while_the_process_lives(client: Any) -> None:
    """A process that hangs does not renew; once it moves again it does."""
    life = [False]
    keeper, leases = make(client, lambda: life[0])
    hold(client, "mine")
    leases.hold("mine")
    keeper.round()
    assert client.zscore(NAMES.index, "mine") == 1
    life[0] = True
    keeper.round()
    assert client.zscore(NAMES.index, "mine") > 1


def test_a_lost_lease_is_noticed(client: Any, caplog: pytest.LogCaptureFixture) -> None:
    """The log says how many were taken away."""
    keeper, leases = make(client)
    leases.hold("gone")
    keeper.round()
    assert "1 messages were taken" in caplog.text
    assert leases.held() == []


def test_nothing_is_reaped_for_one_lease_time_after_the_start(client: Any) -> None:
    """Who has just come cannot know whether the others had the chance to renew."""
    keeper, _ = make(client)
    hold(client, "lease:other")
    started_at = time.monotonic()
    turn_until(keeper, lambda: not client.exists(NAMES.unacked))
    assert time.monotonic() - started_at >= LEASE_S
    assert client.llen("postroom.q") == 1


def test_nothing_is_reaped_for_one_lease_time_after_a_gap(client: Any) -> None:
    """The same when the server was not seen for more than half a lease, whatever the reason."""
    keeper, _ = make(client)
    turn_until(keeper, lambda: keeper._may_reap_at < time.monotonic())
    slept_until = time.monotonic() + LEASE_S / 2 + 0.1
    wait_until(lambda: time.monotonic() > slept_until, 10)
    hold(client, "lease:other")
    keeper.round()
    assert client.hlen(NAMES.unacked) == 1
    turn_until(keeper, lambda: not client.exists(NAMES.unacked))


def test_the_pause_ends_when_something_is_due(client: Any) -> None:
    """A message that is due sooner than the next round shortens the pause."""
    keeper, _ = make(client)
    assert keeper.round() == LEASE_S / 8
    Delays(client, NAMES).store("id", time.time() + 0.05, "postroom.q", "message")
    assert keeper.round() < LEASE_S / 8
    turn_until(keeper, lambda: client.llen("postroom.q"))


def test_an_outage_is_waited_out(valkey_program: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The thread goes on when the server is back, and renews what was held before."""
    caplog.set_level("INFO")
    with ValkeyServer(valkey_program, tmp_path, append_only=True) as server, connect(server.url) as client:
        keeper, leases = make(client)
        keeper.start()
        server.kill()
        wait_until(lambda: "cannot be renewed" in caplog.text, 10)
        server.start()
        wait_until(lambda: "renewed again" in caplog.text, 10)
        hold(client, "lease:mine")
        leases.hold("lease:mine")
        wait_until(lambda: client.zscore(NAMES.index, "lease:mine") > 1, 10)
        keeper.stop()
    assert caplog.text.count("cannot be renewed") == 1


def test_the_keeper_outlives_a_bug(client: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever ends a round, the next one renews: a process whose keeper died would lose all that it is sending."""
    bugs = [RuntimeError("of ours")]

    def is_alive() -> bool:
        if bugs:
            raise bugs.pop()
        return True

    keeper, leases = make(client, is_alive)
    hold(client, "mine")
    leases.hold("mine")
    keeper.start()
    try:
        wait_until(lambda: (client.zscore(NAMES.index, "mine") or 0) > 1, 10, "the lease to be renewed")
    finally:
        keeper.stop()
    assert "RuntimeError ended a round of the keeper" in caplog.text
    client.delete(NAMES.unacked, NAMES.index)


def test_its_turns_are_told_whatever_comes_of_them(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounds that fail are turns too; one that hangs is none."""
    gate = threading.Event()
    keeper, leases = make(client)
    monkeypatch.setattr(leases, "renew", _fails)
    keeper.start()
    for _ in range(2):
        turned_at = keeper.turned_at
        wait_until(lambda turned_at=turned_at: keeper.turned_at > turned_at, 10, "a round that fails")  # type: ignore[misc]
    monkeypatch.setattr(leases, "renew", gate.wait)
    wait_until(lambda: time.monotonic() - keeper.turned_at > 1.5, 10, "a round that hangs")
    gate.set()
    wait_until(lambda: time.monotonic() - keeper.turned_at < 1, 10, "the next round")
    keeper.stop()


def _fails() -> None:
    raise ConnectionError
