"""The compose file's worker service: its own command line and environment, run on the host."""

from __future__ import annotations

import sys
from pathlib import Path

from postroom import Sent
from postroom.testing import SmtpServer
from postroom_worker.desk import CANCEL_S
from postroom_worker.pool import LAST_WORDS_S, RECORD_S
from postroom_worker.settings import WorkerSettings
from tests.support.compose import read_services
from tests.support.post import Post, PostroomWorker, a_message


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

    worker = PostroomWorker(tmp_path / "worker.log", environment)
    worker._command = service.command_on_host(Path(sys.executable).parent / "postroom")
    with worker, post.mailer() as mailer:
        outcome = mailer.send(a_message(), post.session(tls_server)).outcome(timeout=30)

    assert isinstance(outcome, Sent)


def test_the_grace_period_is_longer_than_the_worker_takes_to_stop(post: Post) -> None:
    """Drain, patience with committed sends, recording and QUIT all fit, or compose would kill in the middle."""
    longest = WorkerSettings.from_env(post.environment).drain_s + CANCEL_S + RECORD_S + LAST_WORDS_S

    assert read_services()["worker"].stop_grace_period_s > longest
