"""A real worker shows that it works: while it does, not while its loop stands, and also while Redis is away."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import pytest

from postroom.testing import CertificateKit, SmtpServer, at
from postroom_contract.sign_of_life import SignOfLife
from postroom_worker import health
from postroom_worker.health import Health
from tests.support import wedged_worker
from tests.support.post import Post, a_message
from tests.support.valkey import ValkeyServer
from tests.support.waiting import wait_until

TIMEOUT_S = 30.0


@pytest.fixture
def post(redis_url: str, tmp_path: Path) -> Post:
    """A post whose workers show whether they work."""
    post = Post(redis_url, tmp_path, CertificateKit(tmp_path).ca_file)
    post.more["POSTROOM_ALIVE_FILE"] = str(tmp_path / "alive")
    return post


def sign_of(post: Post) -> Path:
    """The file of its worker."""
    return Path(post.more["POSTROOM_ALIVE_FILE"])


def wait_for_signs(post: Post, count: int) -> None:
    """Return when the sign has been renewed so many times."""
    for _ in range(count):
        seen = sign_of(post).stat().st_mtime_ns
        wait_until(lambda seen=seen: sign_of(post).stat().st_mtime_ns > seen, TIMEOUT_S, "a newer sign")  # type: ignore[misc]


def wait_until_stale(post: Post) -> None:
    """Return when it has missed several signs."""
    file = sign_of(post)
    os.utime(file, (1, 1))
    wait_until(lambda: _stays_old(file), TIMEOUT_S, "the signs to end")


def _stays_old(file: Path) -> bool:
    is_old = file.stat().st_mtime == 1
    os.utime(file, (1, 1))
    return is_old and _stays(file)


def _stays(file: Path) -> bool:
    try:
        wait_until(lambda: file.stat().st_mtime != 1, 4 * health.SHOW_EVERY_S)
    except AssertionError:
        return True
    return False


def test_sign_is_there_while_the_worker_takes_mail(post: Post) -> None:
    """From its readiness to SIGTERM, and not while it drains; the worker still ends what it sends."""
    with SmtpServer(rules=[at("END_OF_DATA").hold()]) as server, post.mailer() as mailer, post.worker() as worker:
        wait_until(sign_of(post).exists, TIMEOUT_S, "the sign")
        wait_for_signs(post, 2)
        receipt = mailer.send(a_message(), post.session(server, use_ssl=False, password=None))
        server.wait_for(lambda: server.open_transactions == 1, TIMEOUT_S)
        worker.send(signal.SIGTERM)
        wait_until(lambda: not sign_of(post).exists(), TIMEOUT_S, "the sign to go")
        assert worker.is_running
        server.release()
        assert worker.wait() == 0
        assert receipt.outcome(timeout=1).state == "sent"


def test_worker_without_redis_is_not_ready(post: Post, tmp_path: Path) -> None:
    """It waits for Redis, and what was left of a killed worker is no sign of it."""
    sign_of(post).touch()
    worker = post.worker(POSTROOM_BROKER_URL="redis://127.0.0.1:1/0")
    worker.launch()
    try:
        wait_until(lambda: "Cannot connect" in worker.log, TIMEOUT_S, "the worker to look for Redis")
        assert not sign_of(post).exists()
    finally:
        worker.kill()


def test_worker_whose_loop_stands_shows_nothing(post: Post, tmp_path: Path) -> None:
    """All its threads go on, but no mail is sent: it must not look healthy."""
    wedge = tmp_path / "wedge"
    worker = post.worker(starter=wedged_worker.STARTER, **{wedged_worker.VARIABLE: str(wedge)})
    worker.start()
    try:
        wait_until(sign_of(post).exists, TIMEOUT_S, "the sign")
        wedge.touch()
        wait_until_stale(post)
    finally:
        worker.kill()


def test_redis_away_does_not_make_a_worker_ill(valkey_program: Path, post: Post, tmp_path: Path) -> None:
    """Its signs go on without Redis, and when Redis is back."""
    (tmp_path / "valkey").mkdir()
    with ValkeyServer(valkey_program, tmp_path / "valkey", append_only=True) as server:
        worker = post.worker(POSTROOM_BROKER_URL=server.url)
        with worker:
            wait_until(sign_of(post).exists, TIMEOUT_S, "the sign")
            server.stop()
            wait_until(lambda: "Leases cannot be renewed" in worker.log, TIMEOUT_S, "the worker to notice")
            wait_for_signs(post, 8)
            server.start()
            wait_until(lambda: "Leases are renewed again" in worker.log, TIMEOUT_S, "the worker to go on")
            wait_for_signs(post, 2)


def test_keeper_that_hangs_makes_a_worker_ill(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody renews its leases then, though its loop turns."""
    monkeypatch.setattr(health, "keepers_stand_still_s", lambda: health.LONGEST_ROUND_S - 1)
    assert health.is_well()
    monkeypatch.setattr(health, "keepers_stand_still_s", lambda: health.LONGEST_ROUND_S + 1)
    assert not health.is_well()


def test_systemd_is_told_by_a_worker_started_as_a_unit(post: Post, tmp_path: Path) -> None:
    """Ready, alive again and again, and stopping."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(TIMEOUT_S)
        with post.worker(NOTIFY_SOCKET=systemd.getsockname()) as worker:
            assert systemd.recv(100) == b"READY=1\nWATCHDOG=1"
            assert systemd.recv(100) == b"WATCHDOG=1"
            assert worker.stop() == 0
        assert not sign_of(post).exists()
        wait_until(lambda: systemd.recv(100) == b"STOPPING=1", TIMEOUT_S, "its last word")


def test_worker_that_was_told_to_stop_before_it_was_ready_never_shows(tmp_path: Path) -> None:
    """A signal may come at any moment."""
    health_of_one = Health(SignOfLife(tmp_path / "alive"), lambda: True)
    health_of_one.drain()
    health_of_one.begin()
    health_of_one.begin()

    assert not (tmp_path / "alive").exists()
