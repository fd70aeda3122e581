"""What compose would run, run on the host: each service's own command line, environment and health check."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path

from postroom import Sent
from postroom.testing import SmtpServer, free_port
from postroom_worker.desk import CANCEL_S
from postroom_worker.pool import LAST_WORDS_S, RECORD_S
from postroom_worker.settings import WorkerSettings
from tests.conftest import require
from tests.support.compose import ROOT, read_services
from tests.support.npm_smtp_server import NODE_FOLDER
from tests.support.post import Post, PostroomWorker, a_message
from tests.support.redis_proxy import RedisProxy
from tests.support.valkey import ValkeyServer
from tests.support.waiting import wait_until


def test_the_workers_command_line_sends_with_keys_from_files(
    post: Post, tls_server: SmtpServer, tmp_path: Path
) -> None:
    """What compose would run works: `postroom worker` with both rings read from secret files."""
    service = read_services()["worker"]
    files = {"POSTROOM_KEYS_FILE": post.keys, "POSTROOM_PASSWORD_KEYS_FILE": post.password_keys}
    environment = {"SSL_CERT_FILE": str(post.ca_file)}
    for name, value in service.environment.items():
        environment[name] = value
        if name in files:
            environment[name] = str(tmp_path / name)
            (tmp_path / name).write_text(files[name])
    assert environment["POSTROOM_BROKER_URL"] == "redis://valkey:6379/0"
    environment["POSTROOM_BROKER_URL"] = post.redis_url

    alive = environment["POSTROOM_ALIVE_FILE"] = str(tmp_path / "alive")
    environment["POSTROOM_METRICS_PORT"] = str(free_port())
    assert not service.is_healthy_on_host(alive_file=alive)

    worker = PostroomWorker(tmp_path / "worker.log", environment)
    worker._command = service.command_on_host(Path(sys.executable).parent / "postroom")
    with worker, post.mailer() as mailer:
        outcome = mailer.send(a_message(), post.session(tls_server)).outcome(timeout=30)
        assert service.is_healthy_on_host(alive_file=alive)
        os.utime(alive, (time.time() - 20, time.time() - 20))
        wait_until(lambda: service.is_healthy_on_host(alive_file=alive), 10, "the next sign")

    assert isinstance(outcome, Sent)
    assert not Path(alive).exists()
    Path(alive).touch()
    os.utime(alive, (time.time() - 20, time.time() - 20))
    assert not service.is_healthy_on_host(alive_file=alive)


def test_a_worker_that_is_stopped_is_unhealthy_and_one_without_redis_is_not(
    post: Post, valkey: ValkeyServer, tmp_path: Path
) -> None:
    """Killing it would bring Redis back no sooner; a process that hangs is to be started anew."""
    service = read_services()["worker"]
    alive = tmp_path / "alive"
    post.more["POSTROOM_ALIVE_FILE"] = str(alive)

    def is_fresh() -> bool:
        """Whether it was touched since it was last made old."""
        return alive.exists() and alive.stat().st_mtime > time.time() - 10

    with RedisProxy(valkey.port) as proxy:
        post.more["POSTROOM_BROKER_URL"] = proxy.url
        with post.worker() as worker:
            wait_until(is_fresh, 20, "the worker to be alive")
            proxy.refuse()
            proxy.cut()
            os.utime(alive, (0, 0))
            wait_until(is_fresh, 20, "it to be alive without Redis")
            worker.send(signal.SIGSTOP)
            os.utime(alive, (0, 0))
            assert not service.is_healthy_on_host(alive_file=str(alive))
            worker.kill()


def test_the_beats_command_line_sends_to_the_inbox(post: Post, tmp_path: Path) -> None:
    """The sample files of the development profile, through a real worker to maildev, the inbox that compose would run."""
    require("maildev", is_there=(NODE_FOLDER / "node_modules" / "maildev").is_dir())
    services, smtp, web = read_services(), free_port(), free_port()
    for name in ("sessions.toml", "schedule.toml"):
        text = (ROOT / "ops" / "development" / name).read_text()
        text = text.replace('"inbox"\nport = 1025', f'"127.0.0.1"\nport = {smtp}').replace('"1m"', '"1s"')
        (tmp_path / name).write_text(text)
    alive = str(tmp_path / "alive")
    environment = {
        **os.environ,
        **services["beat"].environment,
        "POSTROOM_BROKER_URL": post.redis_url,
        "POSTROOM_KEYS_FILE": str(tmp_path / "keys"),
        "POSTROOM_SESSIONS_FILE": str(tmp_path / "sessions.toml"),
        "POSTROOM_SCHEDULE_FILE": str(tmp_path / "schedule.toml"),
        "POSTROOM_ALIVE_FILE": alive,
    }
    (tmp_path / "keys").write_text(post.keys)
    node = shutil.which("node")
    assert node is not None
    _, *options = services["inbox"].command
    ports = [{"1025": str(smtp), "1080": str(web)}.get(word, word) for word in options]
    maildev = [node, str(NODE_FOLDER / "node_modules" / "maildev" / "bin" / "maildev"), *ports, "--ip", "127.0.0.1"]
    beat = services["beat"].command_on_host(Path(sys.executable).parent / "postroom")
    with (tmp_path / "log").open("wb") as log, ExitStack() as stack:
        for command in (maildev, beat):
            process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=log, stderr=log)
            stack.callback(process.wait, 20)
            stack.callback(process.terminate)
        stack.enter_context(post.worker())
        subjects = wait_until(lambda: inbox_subjects(web), 40, "mail in the inbox")
        assert services["beat"].is_healthy_on_host(alive_file=alive)

    assert all(subject.startswith("It is ") for subject in subjects)


def inbox_subjects(port: int) -> list[str]:
    """What is in maildev's inbox, by its own API."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/email", timeout=5) as answer:
            return [mail["subject"] for mail in json.load(answer)]
    except OSError:
        return []


def test_flowers_command_line_and_its_health(post: Post, tmp_path: Path) -> None:
    """On all addresses, which it dares because somebody has said who may look."""
    service, port = read_services()["flower"], free_port()
    (tmp_path / "auth").write_text("ann:secret")
    environment = {
        **os.environ,
        "POSTROOM_BROKER_URL": post.redis_url,
        "POSTROOM_FLOWER_AUTH_FILE": str(tmp_path / "auth"),
    }
    command = [*service.command_on_host(Path(sys.executable).parent / "postroom"), "--port", str(port)]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=log, stderr=log)
    try:
        wait_until(lambda: service.is_healthy_on_host(flower_port=str(port)), 40, "Flower to be healthy")
    finally:
        process.terminate()
        process.wait(20)


def test_the_grace_period_is_longer_than_the_worker_takes_to_stop(post: Post) -> None:
    """Drain, patience with committed sends, recording and QUIT all fit, or compose would kill in the middle."""
    longest = WorkerSettings.from_env(post.environment).drain_s + CANCEL_S + RECORD_S + LAST_WORDS_S

    assert read_services()["worker"].stop_grace_period_s > longest
