"""What outsiders can see while mail is queued, retried, sent and refused: ids, states and codes, and nothing personal.

One eventful run is looked at through each window there is: Redis, its append-only file, `celery inspect`, the worker's
log, Celery's events. Each window is a test, and each is run a second time with every defence removed, to show that the
test can see.
"""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from postroom import Attachment, State
from postroom.testing import CertificateKit, SmtpServer, at
from tests.support.celery_worker import ROOT
from tests.support.post import Post, a_message
from tests.support.sabotage import STARTER, sabotaged
from tests.support.valkey import ValkeyServer, connect
from tests.support.waiting import wait_until

# One word for each kind of thing that must stay inside.
CANARIES = {
    "password": "canarypassword",
    "user name": "canaryuser",
    "sender": "canarysender",
    "recipient": "canaryrecipient",
    "refused recipient": "canaryrefused",
    "blind copy": "canaryblind",
    "subject": "canarysubject",
    "body": "canarybody",
    "file": "canaryfile",
    "file content": "canarycontent",
    "reply": "canaryreply",
}
WINDOWS = (
    "redis while queued",
    "redis while retrying",
    "redis at the end",
    "append-only file",
    "inspect",
    "worker log",
)
# Long enough for a text, short enough to be in what any cutting off leaves over.
_BASE64_RUN = re.compile(rb"[A-Za-z0-9+/_=-]{12,}")


@dataclass(frozen=True)
class Views:
    """What each window showed, as bytes."""

    shown: dict[str, bytes]

    def found(self, window: str) -> set[str]:
        """Which canaries can be seen through a window, in the clear or under base64."""
        text = self.shown[window].lower()
        decoded = b"".join(_decoded(self.shown[window])).lower()
        return {kind for kind, canary in CANARIES.items() if canary.encode() in text or canary.encode() in decoded}


def _decoded(text: bytes, depth: int = 3) -> Iterator[bytes]:
    """Everything in a text that may be base64, decoded, at every offset, some layers deep."""
    for run in _BASE64_RUN.findall(text.replace(b"\\n", b"").replace(b"\n", b"")):
        for offset in range(4):
            piece = run[offset:].rstrip(b"=").translate(bytes.maketrans(b"-_", b"+/")).replace(b"=", b"")
            plain = base64.b64decode(piece[: len(piece) // 4 * 4])
            yield plain
            if depth > 1 and (plain.isascii() or b"v1." in plain):
                yield from _decoded(plain, depth - 1)


@pytest.fixture(scope="module", params=["as it is", "sabotaged"])
def views(
    request: pytest.FixtureRequest,
    valkey_program: Path,
    tmp_path_factory: pytest.TempPathFactory,
    certificates: CertificateKit,
) -> Views:
    """One run with a retry, a success, a partial and a failure, watched through all windows."""
    folder = tmp_path_factory.mktemp("privacy")
    is_sabotaged = request.param == "sabotaged"
    with ExitStack() as stack:
        redis = stack.enter_context(ValkeyServer(valkey_program, folder, append_only=True))
        if is_sabotaged:
            stack.enter_context(sabotaged())
        return Views(watch(Post(redis.url, folder, certificates.ca_file), redis, STARTER if is_sabotaged else ()))


def watch(post: Post, redis: ValkeyServer, starter: tuple[str, ...]) -> dict[str, bytes]:
    """Run the scenario and look through every window."""
    shown: dict[str, bytes] = {}
    refuse = at("RCPT").matching("canaryrefused").reply("550 5.1.1 canaryreply: who is that?")
    put_off = at("RCPT").matching("canaryrecipient").reply("450 4.2.0 canaryreply: try again in 3 seconds").times(1)
    users = {"canaryuser@example.com": "canarypassword"}
    rules = [refuse, put_off, at("END_OF_DATA").hold()]
    with SmtpServer(users=users, allow_cleartext_auth=True, rules=rules) as server, post.mailer() as mailer:
        session = clear_session(post, server, "canarypassword")
        letter: dict[str, Any] = {
            "from_": "canarysender@example.com",
            "bcc": ["canaryblind@example.com"],
            "subject": "canarysubject",
            "body": "canarybody",
            "attachments": [Attachment(content=b"canarycontent", name="canaryfile.txt")],
        }
        partial = a_message(to=["canaryrecipient@example.com", "canaryrefused@example.com"], **letter)
        failed = a_message(to=["canaryrefused@example.com"], **(letter | {"bcc": []}))
        receipts = [mailer.send(partial, session), mailer.send(failed, session)]
        receipts.append(mailer.send(partial, clear_session(post, server, "canarypassword wrong")))
        shown["redis while queued"] = dump(redis.url)
        with post.worker("--loglevel", "DEBUG", starter=starter) as worker:
            wait_until(lambda: all(receipt.state() in _FINAL for receipt in receipts[1:]), 40, "the failures")
            server.wait_for(lambda: server.open_transactions == 1)
            shown["inspect"] = inspect(post)
            server.release()
            wait_until(lambda: receipts[0].state() == State.RETRYING, 40, "the first retry")
            shown["redis while retrying"] = dump(redis.url)
            wait_until(lambda: all(receipt.state() in _FINAL for receipt in receipts), 40, "the end")
        shown["worker log"] = worker.log.encode()
    assert [receipt.state() for receipt in receipts] == [State.PARTIAL, State.FAILED, State.FAILED]
    shown["redis at the end"] = dump(redis.url)
    shown["append-only file"] = b"".join(path.read_bytes() for path in redis.data_dir.rglob("*.aof") if path.is_file())
    return shown


_FINAL = {State.SENT, State.PARTIAL, State.FAILED, State.UNKNOWN}


def clear_session(post: Post, server: SmtpServer, password: str) -> dict[str, object]:
    """A session in the clear, so that nothing but sealing keeps the secrets."""
    user = "canaryuser@example.com"
    return {
        "ServerDetails": {"Host": "localhost", "Port": server.port, "UseSsl": False, "AllowCleartext": True},
        "Credentials": {
            "Username": user,
            "Password": post.encrypt(password, server.port, use_ssl=False, username=user).token,
        },
    }


def dump(url: str) -> bytes:
    """Every key of a Redis with its content."""
    read = {
        "string": lambda client, key: client.get(key),
        "list": lambda client, key: client.lrange(key, 0, -1),
        "hash": lambda client, key: client.hgetall(key),
        "set": lambda client, key: client.smembers(key),
        "zset": lambda client, key: client.zrange(key, 0, -1),
    }
    with connect(url) as client:
        contents = [(key, read[client.type(key).decode()](client, key)) for key in client.scan_iter("*")]
    return repr(contents).encode()


def inspect(post: Post) -> bytes:
    """What `celery inspect` tells of tasks that run, wait, and are put off."""
    asked = [
        subprocess.Popen(
            [sys.executable, "-m", "celery", "-A", "postroom_worker", "inspect", what, "--json", "--timeout", "2"],
            env=os.environ | {"POSTROOM_BROKER_URL": post.redis_url},
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for what in ("active", "reserved", "scheduled", "stats", "report")
    ]
    answers = [process.communicate(timeout=60) for process in asked]
    assert [process.returncode for process in asked] == [0] * len(asked), answers
    said = [output for output, _ in answers]
    assert any("postroom.deliver" in json.dumps(json.loads(answer)) for answer in said)
    return b"".join(said)


@pytest.mark.parametrize("window", WINDOWS)
def test_a_window_shows_nothing_personal(window: str, views: Views, request: pytest.FixtureRequest) -> None:
    """No canary is found as things are; sabotaged, the same search finds them."""
    assert views.shown[window], "an empty view would prove nothing"
    if "sabotaged" in request.node.callspec.id:
        assert views.found(window), "the test cannot see through this window"
    else:
        assert views.found(window) == set()
