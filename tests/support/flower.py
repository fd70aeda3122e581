"""A watched system: a worker that meets everything that can happen to mail, and a real Flower beside it.

Everything a mail holds has the word "canary" in it, so that whoever looks through Flower can tell whether any of it shows. The
pictures in the documentation are taken of the same system.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

from postroom import Mailer, Receipt, State
from postroom.testing import CertificateKit, SmtpServer, at, free_port
from tests.support.post import Post, a_message
from tests.support.waiting import wait_until

USER, PASSWORD = "operator", "not-in-any-page"
TIMEOUT_S = 40.0
MAIL_USER, MAIL_PASSWORD = "canaryuser@example.com", "canarypassword"
RULES = (
    at("RCPT").matching("canaryrefused").reply("550 5.1.1 canaryreply: who is that?"),
    at("RCPT").matching("canarygrey").reply("450 4.2.0 canaryreply: try again in 1 second").times(1),
    at("RCPT").matching("canarybusy").reply("450 4.2.0 canaryreply: come back later"),
    at("END_OF_DATA").matching("canarydoubt").accept_then_drop(),
)


@dataclass
class Answer:
    """What Flower answers."""

    status: int
    text: str


@dataclass
class Watched:
    """The system, and Flower's address."""

    post: Post
    server: SmtpServer
    mailer: Mailer
    url: str
    receipts: dict[str, Receipt] = field(default_factory=dict)

    def get(self, path: str, *, auth: tuple[str, str] | None = (USER, PASSWORD), method: str = "GET") -> Answer:
        """Ask Flower for something."""
        request = urllib.request.Request(  # noqa: S310 -- http, and ours
            self.url + path, method=method, data=b"{}" if method == "POST" else None
        )
        if auth is not None:
            request.add_header("Authorization", "Basic " + b64encode(":".join(auth).encode()).decode())
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
                return Answer(answer.status, answer.read().decode())
        except HTTPError as refused:
            return Answer(refused.code, refused.read().decode())

    def tasks(self) -> dict[str, dict[str, Any]]:
        """Flower's tasks by id."""
        tasks: dict[str, dict[str, Any]] = json.loads(self.get("/api/tasks?limit=1000").text)
        return tasks

    def task(self, name: str) -> dict[str, Any]:
        """What Flower knows of one of the mails; nothing, if it knows nothing."""
        return self.tasks().get(self.receipts[name].id, {})

    def make_one(self, name: str, to: str) -> None:
        """Send one mail to one of the recipients that the rules know."""
        self._send(name, [f"canary{to}@example.com"], self._session())

    def make_traffic(self) -> None:
        """Send one mail of each kind, and wait until each is as far as it comes."""
        session, soon = self._session(), datetime.now(UTC) + timedelta(seconds=1)
        wrong = self._session("canarywrong")
        nowhere = self._session(port=free_port())
        to = {name: f"canary{name}@example.com" for name in ("sent", "refused", "grey", "busy", "doubt", "late")}
        self._send("sent", [to["sent"]], session)
        self._send("partial", [to["sent"], to["refused"]], session)
        self._send("failed", [to["refused"]], session)
        self._send("wrong password", [to["sent"]], wrong)
        self._send("put off", [to["grey"]], session)
        self._send("busy", [to["busy"]], session)
        self._send("nowhere", [to["sent"]], nowhere)
        self._send("held", [to["doubt"]], session, on_unknown="hold")
        self._send("unknown", [to["doubt"]], session)
        self._send("expired", [to["busy"]], session, expires_at=soon)
        self._send("cancelled", [to["busy"]], session)
        self._send("scheduled", [to["late"]], session, send_at=datetime.now(UTC) + timedelta(hours=1))
        wait_until(lambda: self.task("cancelled").get("state") == "RETRY", TIMEOUT_S, "the busy server to be met")
        self.receipts["cancelled"].cancel()
        settled = {State.SENT, State.FAILED, State.UNKNOWN, State.HELD, State.PARTIAL, State.EXPIRED}
        for name in ("sent", "partial", "failed", "wrong password", "put off", "held", "unknown", "expired"):
            wait_until(lambda name=name: self.receipts[name].state() in settled, TIMEOUT_S, name)  # type: ignore[misc]
        for name, state in {"put off": "SUCCESS", "held": "HELD", "unknown": "FAILURE", "expired": "FAILURE"}.items():
            is_seen = lambda name=name, state=state: self.task(name).get("state") == state  # noqa: E731
            wait_until(is_seen, TIMEOUT_S, f"Flower to have seen that {name} is {state}")

    def _send(self, name: str, to: Sequence[str], session: Mapping[str, Any], **options: Any) -> None:
        message = a_message(to=to, from_="canarysender@example.com", subject="canarysubject", body="canarybody")
        self.receipts[name] = self.mailer.send(message, session, **options)

    def _session(self, password: str = MAIL_PASSWORD, port: int | None = None) -> Mapping[str, Any]:
        port = port or self.server.port
        token = self.post.encrypt(password, port, use_ssl=False, username=MAIL_USER).token
        return {
            "ServerDetails": {"Host": "localhost", "Port": port, "UseSsl": False, "AllowCleartext": True},
            "Credentials": {"Username": MAIL_USER, "Password": token},
        }


@contextmanager
def watched_system(redis_url: str, folder: Path, certificates: CertificateKit) -> Iterator[Watched]:
    """Run a worker and Flower, which has no keys, and wait until it has seen the worker."""
    post = Post(redis_url, folder, certificates.ca_file)
    users = {MAIL_USER: MAIL_PASSWORD}
    with (
        SmtpServer(users=users, allow_cleartext_auth=True, rules=RULES) as server,
        post.mailer() as mailer,
        post.worker(),
        flower(post) as url,
    ):
        watched = Watched(post, server, mailer, url)
        wait_until(
            lambda: "postroom@" in watched.get("/api/workers?refresh=1").text, TIMEOUT_S, "Flower to see the worker"
        )
        # Flower asks workers for their events again and again, and shows what they tell from then on.
        wait_until(lambda: _shows_another(watched), TIMEOUT_S, "Flower to see events")
        yield watched


def _shows_another(watched: Watched) -> bool:
    """Whether Flower has seen the last mail; if not, send one more."""
    if "first" in watched.receipts and watched.task("first"):
        return True
    watched.make_one("first", "sent")
    return False


@contextmanager
def flower(post: Post, *options: str, **variables: str) -> Iterator[str]:
    """Run `postroom flower`, and give its address once it answers."""
    environment = {**os.environ, **post.environment, "POSTROOM_FLOWER_AUTH": f"{USER}:{PASSWORD}", **variables}
    for secret in ("POSTROOM_KEYS", "POSTROOM_PASSWORD_KEYS"):
        environment.pop(secret, None)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with (post.folder / "flower.log").open("wb") as log:
        command = [sys.executable, "-m", "postroom", "flower", f"--port={port}", *options]
        process = subprocess.Popen(command, cwd=post.folder, env=environment, stdout=log, stderr=log)
    try:
        wait_until(lambda: _answers(url, process, post.folder / "flower.log"), TIMEOUT_S, "Flower to answer")
        yield url
    finally:
        process.terminate()
        process.wait(TIMEOUT_S)


def _answers(url: str, process: subprocess.Popen[bytes], log: Path) -> bool:
    assert process.poll() is None, log.read_text(errors="replace")
    try:
        with urllib.request.urlopen(f"{url}/healthcheck", timeout=5):  # noqa: S310
            return True
    except OSError:
        return False
