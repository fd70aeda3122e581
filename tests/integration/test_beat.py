"""Recurring mail by real beats: several at once, killed, started again, and without Redis for a while."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import pytest

from postroom.testing import SmtpServer
from tests.support.celery_worker import ROOT
from tests.support.post import Post
from tests.support.redis_proxy import RedisProxy
from tests.support.valkey import ValkeyServer, connect
from tests.support.waiting import wait_until

SCHEDULE = """
[[schedule]]
name = "often"
every = "1s"
session = "shop"
template = {To = "secret.ann@example.com", From = "shop@example.com", Subject = "$slot", Body = "secret body"}
"""
TIMEOUT_S = 40.0
COMMANDS = {
    "postroom": ("-m", "postroom", "beat"),
    "celery": ("-m", "celery", "-A", "postroom_worker", "beat", "--loglevel", "INFO"),
}


class BeatProcess:
    """One beat, in a process of its own, without password keys, in a folder that it must leave empty."""

    def __init__(self, post: Post, folder: Path, command: str = "postroom") -> None:
        self.folder = folder
        folder.mkdir()
        self.log_path = folder.with_suffix(".log")
        environment = {**os.environ, **post.environment}
        environment.pop("POSTROOM_PASSWORD_KEYS")
        with self.log_path.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, *COMMANDS[command]], cwd=folder, env=environment, stdout=log, stderr=log
            )

    @property
    def log(self) -> str:
        """All that it has said."""
        return self.log_path.read_text(errors="replace")

    @property
    def queued(self) -> list[str]:
        """The slots that it has queued, by its log in text or in JSON."""
        found = re.findall(r'slot (\S+) is queued|"slot_queued".*"slot": "(\S+?)"', self.log)
        return [in_text or in_json for in_text, in_json in found]

    def wait_for_slots(self, count: int) -> None:
        """Return when it has queued some more."""
        already = len(self.queued)
        wait_until(lambda: len(self.queued) >= already + count, TIMEOUT_S, f"{count} more slots; its log: {self.log}")

    def end(self, how: signal.Signals) -> int:
        """Send a signal, and return the exit code."""
        self._process.send_signal(how)
        return self._process.wait(TIMEOUT_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


@pytest.fixture
def shop(post: Post, tls_server: SmtpServer) -> Post:
    """A post with a schedule."""
    post.name_session("shop", tls_server)
    file = post.folder / "schedule.toml"
    file.write_text(SCHEDULE, encoding="utf-8")
    post.more["POSTROOM_SCHEDULE_FILE"] = str(file)
    return post


@contextmanager
def beats(shop: Post, *commands: str) -> Iterator[list[BeatProcess]]:
    """Beats that were started by these commands."""
    started = [BeatProcess(shop, shop.folder / f"beat-{number}", command) for number, command in enumerate(commands)]
    try:
        yield started
    finally:
        for one in started:
            one.__exit__()


def check_each_once(server: SmtpServer, slots: set[str]) -> None:
    """Each slot from the first to the last has arrived once."""
    server.wait_for(lambda: {subject[:19] for subject in subjects(server)} >= {slot[:19] for slot in slots}, TIMEOUT_S)
    arrived = [datetime.fromisoformat(subject) for subject in subjects(server)]
    first, seconds = min(arrived), int((max(arrived) - min(arrived)).total_seconds())

    assert sorted(arrived) == [first + timedelta(seconds=number) for number in range(seconds + 1)]


def subjects(server: SmtpServer) -> list[str]:
    """What the mails that arrived say of their slots."""
    return [message.parsed()["Subject"] for message in server.messages]


def test_two_beats_and_a_restart_send_each_slot_once(shop: Post, tls_server: SmtpServer) -> None:
    """One by each command; one is killed, then both are gone, and a third goes on where they were."""
    with shop.worker(), beats(shop, "postroom", "celery") as (one, two):
        one.wait_for_slots(2)
        two.wait_for_slots(2)
        one.end(signal.SIGKILL)
        two.wait_for_slots(2)
        two.end(signal.SIGKILL)
        with BeatProcess(shop, shop.folder / "beat-3") as three:
            three.wait_for_slots(4)
            slots = {*one.queued, *two.queued, *three.queued}
            check_each_once(tls_server, slots)


def test_redis_away_for_a_while(shop: Post, tls_server: SmtpServer, valkey: ValkeyServer) -> None:
    """What fell due meanwhile is sent when it is back."""
    with RedisProxy(valkey.port) as proxy, shop.worker():
        shop.more["POSTROOM_BROKER_URL"] = proxy.url
        with beats(shop, "postroom") as [one]:
            one.wait_for_slots(2)
            with connect(shop.redis_url) as client:
                client.client_pause(8000)  # longer than a client waits for an answer
            wait_until(lambda: "Redis is away" in one.log, TIMEOUT_S, "the beat to notice")
            one.wait_for_slots(4)
            check_each_once(tls_server, set(one.queued))


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT], ids=lambda how: how.name)
def test_a_beat_stops_when_told_and_leaves_no_file(shop: Post, command: str, how: signal.Signals) -> None:
    """Celery's own beat keeps a database in the folder where it is started; this one needs none."""
    with beats(shop, command) as [one]:
        one.wait_for_slots(1)

        assert one.end(how) == 0
        assert list(one.folder.iterdir()) == []
        assert "Traceback" not in one.log


def test_nothing_personal_is_told(shop: Post) -> None:
    """Neither in the log, which is JSON where it is asked for, nor in what lies in Redis."""
    shop.more["POSTROOM_LOG_FORMAT"] = "json"
    with beats(shop, "postroom") as [one]:
        one.wait_for_slots(2)
        one.end(signal.SIGTERM)
        lines = [json.loads(line) for line in one.log.splitlines()]
    with connect(shop.redis_url) as client:
        dumped = b"".join(client.dump(key) or b"" for key in client.scan_iter())

    queued = [line for line in lines if line.get("event") == "slot_queued"]
    assert {"id", "entry", "slot"} <= queued[0].keys()
    assert "secret" not in one.log
    assert b"secret" not in dumped


def test_wrong_settings_end_it_at_once(shop: Post) -> None:
    """In lines, without a traceback, and with the exit code that says so."""
    shop.more["POSTROOM_SCHEDULE_FILE"] = str(shop.folder / "none.toml")
    for command in COMMANDS:
        with BeatProcess(shop, shop.folder / command, command) as one:
            assert one._process.wait(TIMEOUT_S) == 78
        assert one.log.strip().endswith(
            f"POSTROOM_SCHEDULE_FILE names {shop.folder / 'none.toml'}, which cannot be read (FileNotFoundError)"
        )


def blocks(language: str) -> list[str]:
    """The code blocks of the documentation in a language."""
    text = (ROOT / "docs" / "beat.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def test_the_documented_file_is_one(shop: Post) -> None:
    """As it stands: a weekly and a frequent entry."""
    [text] = blocks("toml")
    Path(shop.more["POSTROOM_SCHEDULE_FILE"]).write_text(text, encoding="utf-8")
    told = [json.loads(line) for line in shop.run("beat", "--next", "2").output.splitlines()]

    assert [line["entry"] for line in told] == ["weekly-report", "weekly-report", "heartbeat", "heartbeat"]


def test_the_documented_way_to_send_news_sends_once(
    shop: Post, tls_server: SmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often it is called for one day."""
    [text] = blocks("python")
    for name, value in shop.environment.items():
        monkeypatch.setenv(name, value)
    program: dict[str, Any] = {}
    exec(text, program)  # noqa: S102 -- our own documentation
    for day in (1, 1, 2):
        program["send_report"](date(2026, 11, day))
    program["mailer"].close()
    with shop.worker():
        tls_server.wait_for_messages(2, timeout_s=30)

    assert sorted(subjects(tls_server)) == ["Orders of 2026-11-01", "Orders of 2026-11-02"]
