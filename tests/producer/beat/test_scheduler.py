"""What Celery's beat calls, made from the environment."""

from __future__ import annotations

from pathlib import Path

import pytest
from celery import Celery

from postroom.beat.scheduler import EXIT_BAD_SETTINGS, SlotScheduler
from postroom_broker import keys
from postroom_contract.sealing import generate_key
from tests.support.valkey import connect

ENTRY = """
[[schedule]]
name = "yearly"
crontab = "0 0 1 1 *"
session = "shop"
message = {To = "ann@example.com", From = "shop@example.com", Subject = "s", Body = "b"}
"""
SESSION = '[sessions.shop]\nhost = "localhost"\nport = 25\nanonymous = true\n'


@pytest.fixture
def environment(redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """All that a beat needs, and no password keys."""
    (tmp_path / "schedule.toml").write_text(ENTRY, encoding="utf-8")
    (tmp_path / "sessions.toml").write_text(SESSION, encoding="utf-8")
    monkeypatch.setenv("POSTROOM_BROKER_URL", redis_url)
    monkeypatch.setenv("POSTROOM_KEYS", generate_key())
    monkeypatch.setenv("POSTROOM_SCHEDULE_FILE", str(tmp_path / "schedule.toml"))
    monkeypatch.setenv("POSTROOM_SESSIONS_FILE", str(tmp_path / "sessions.toml"))
    monkeypatch.delenv("POSTROOM_PASSWORD_KEYS", raising=False)
    return tmp_path


def make(*, lazy: bool = False) -> SlotScheduler:
    """The scheduler as Celery makes it."""
    return SlotScheduler(app=Celery("test", set_as_current=False), schedule_filename="never-made", lazy=lazy)


def test_it_ticks_with_what_the_environment_names(environment: Path, redis_url: str) -> None:
    """It shows in Redis, tells Celery when to come again, and keeps no file."""
    scheduler = make()

    assert scheduler.tick() == 1.0
    with connect(redis_url) as client:
        assert client.zcard(keys.BEATS) == 1
        assert client.ttl(keys.BEATS) > 0
    scheduler.close()
    assert {path.name for path in environment.iterdir()} == {"schedule.toml", "sessions.toml"}


def test_it_shows_that_it_works_at_each_tick(environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From its first tick to its end, and without Redis as well: it goes on when Redis is back."""
    sign = environment / "alive"
    monkeypatch.setenv("POSTROOM_ALIVE_FILE", str(sign))
    monkeypatch.setenv("POSTROOM_BROKER_URL", "redis://127.0.0.1:1/0")
    scheduler = make()
    assert not sign.exists()
    scheduler.tick()
    assert sign.exists()
    scheduler.close()
    assert not sign.exists()


def test_for_its_banner_it_needs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Celery makes one more only to show it."""
    monkeypatch.setenv("POSTROOM_SCHEDULE_FILE", "/etc/schedule.toml")

    assert make(lazy=True).info == "    . POSTROOM_SCHEDULE_FILE -> /etc/schedule.toml"


def test_wrong_settings_end_the_program(
    environment: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """In a line, with the exit code of all of Postroom's programs."""
    monkeypatch.setenv("POSTROOM_SCHEDULE_FILE", str(environment / "none"))
    with pytest.raises(SystemExit) as ended:
        make()

    assert ended.value.code == EXIT_BAD_SETTINGS
    missing = environment / "none"
    told = f"The settings are wrong. POSTROOM_SCHEDULE_FILE names {missing}, which cannot be read (FileNotFoundError)"
    assert caplog.messages == [told]


def test_what_is_wrong_anywhere_is_told_at_once(
    environment: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Keys, sessions and schedule: who mends one is not told of the next only then, and of none twice."""
    monkeypatch.delenv("POSTROOM_KEYS")
    (environment / "sessions.toml").write_text(SESSION + "prot = 1\n", encoding="utf-8")
    (environment / "schedule.toml").write_text(ENTRY.replace("0 0 1 1 *", "61 0 1 1 *"), encoding="utf-8")
    with pytest.raises(SystemExit):
        make()

    [said] = caplog.messages
    for told in ("POSTROOM_KEYS (or", "'prot' is none of", "the minute '61' is not within 0 to 59"):
        assert said.count(told) == 1
