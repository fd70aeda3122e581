"""Flower beside a running system: what it shows makes sense, and nothing that it shows is personal."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from flower.urls import handlers

from postroom.testing import CertificateKit, free_port
from tests.conftest import require
from tests.support.browser import Look, chromium, look_at
from tests.support.flower import PASSWORD, USER, Watched, watched_system
from tests.support.post import Post
from tests.support.valkey import ValkeyServer

# What may be asked for without a password: whether it is there, counts, and the parts of its pages that all Flowers have.
OPEN = ("/metrics", "/healthcheck", "/static/(.*)", "/login/?", "/logout", ".*")
# What changes something; all of it is asked for with POST.
ACTIONS = (
    "shutdown",
    "restart",
    "grow",
    "shrink",
    "autoscale",
    "consumer",
    "apply",
    "send-task",
    "abort",
    "timeout",
    "rate",
    "revoke",
)
PERSONAL = ("canary", PASSWORD)


@pytest.fixture(scope="module")
def watched(
    valkey_program: Path, tmp_path_factory: pytest.TempPathFactory, certificates: CertificateKit
) -> Iterator[Watched]:
    """A system in which every kind of mail was sent."""
    folder = tmp_path_factory.mktemp("flower")
    with (
        ValkeyServer(valkey_program, folder) as redis,
        watched_system(redis.url, folder, certificates) as watched,
    ):
        watched.make_traffic()
        yield watched


def routes() -> list[str]:
    """Every route that Flower has, as its own table lists them."""
    return [handler[0] if isinstance(handler, tuple) else handler.regex.pattern.rstrip("$") for handler in handlers]


def paths(watched: Watched) -> list[str]:
    """Every route, with whatever it can be asked about put in."""
    worker = next(iter(watched.tasks().values()))["worker"]
    found = []
    for route in routes():
        subjects = watched.tasks() if "task/" in route and "types" not in route else [worker]
        found += [re.sub(r"\(\.[+*]\)", subject, route).removesuffix("/?") for subject in subjects]
    queries = [
        "/workers?json=1",
        "/api/workers?refresh=1&status=1",
        "/tasks/datatable?draw=1&start=0&length=100&search[value]=",
    ]
    order = "&order[0][column]=0&order[0][dir]=asc&columns[0][data]=name"
    return [path for path in dict.fromkeys(found) if path != ".*"] + queries + [f"{queries[2]}{order}"]


@pytest.mark.parametrize(
    ("name", "state", "told"),
    [
        ("sent", "SUCCESS", r"Sent\(accepted=1, refused=0\)"),
        ("put off", "SUCCESS", r"Sent\(accepted=1, refused=0\)"),
        ("partial", "SUCCESS", r"Partial\(code=1301, accepted=1, refused=1\)"),
        ("failed", "FAILURE", r"SmtpCommandException\(1301, smtp_code=550, enhanced_code='5.1.1'\)"),
        ("wrong password", "FAILURE", r"EmailSessionException\(300.*535"),
        ("busy", "RETRY", r"SmtpCommandException\(1301, smtp_code=450.*, again in \d+ s"),
        ("held", "HELD", ""),
        ("unknown", "FAILURE", r"UnknownOutcomeException\(1303\)"),
        ("expired", "FAILURE", r"ExpiredException\(1305\)"),
    ],
)
def test_a_state_says_what_became_of_the_mail(watched: Watched, name: str, state: str, told: str) -> None:
    """To somebody who knows nothing but what Flower shows."""
    task = watched.task(name)

    assert task["state"] == state
    assert re.search(told, f"{task['result'] or ''}{task['exception'] or ''}")
    assert task["name"] == "postroom.deliver"
    assert task["args"] == task["kwargs"] == "<sealed>"
    assert task["traceback"] is None


def test_what_no_worker_has_met_yet_is_not_there(watched: Watched) -> None:
    """A scheduled mail waits in Redis; `postroom schedule list` shows it."""
    assert watched.task("scheduled") == {}


def test_the_time_is_that_of_the_attempt(watched: Watched) -> None:
    """Not that of Celery's bookkeeping afterwards: a conversation with a server takes milliseconds."""
    assert watched.task("sent")["runtime"] > 0.001


def test_no_page_and_no_answer_holds_anything_personal(watched: Watched) -> None:
    """Each route of Flower's own table is asked, about every task and the worker."""
    asked = paths(watched)
    answers = {path: watched.get(path) for path in asked}
    shown = "".join(answer.text for answer in answers.values())

    assert len(asked) > 40
    assert {path for path, answer in answers.items() if answer.status >= 500} == set()
    # What can be seen: the ids, the states, the codes.
    for expected in (watched.receipts["failed"].id, "RETRY", "EmailSessionException(100"):
        assert expected in shown
    assert [word for word in PERSONAL if word in shown] == []
    for secret in (watched.post.keys, watched.post.password_keys):
        assert secret.partition(":")[2] not in shown


def test_nobody_looks_without_the_password(watched: Watched) -> None:
    """Nor with a wrong one; what is open says nothing of a delivery."""
    closed = [path for path in paths(watched) if not re.match("|".join(OPEN[:5]), path)]

    answers = {path: watched.get(path, auth=None, method=_method(path)).status for path in closed}
    assert answers == dict.fromkeys(closed, 401)
    assert watched.get("/tasks", auth=(USER, "wrong")).status == 401
    for path in OPEN[:2]:
        assert watched.get(path, auth=None).status == 200
        assert watched.receipts["failed"].id not in watched.get(path, auth=None).text


def _method(path: str) -> str:
    return "POST" if path.startswith("/api/") and any(word in path for word in ACTIONS) else "GET"


def test_nothing_can_be_pressed(watched: Watched) -> None:
    """Each action is refused, also to those who may look."""
    actions = [path for path in paths(watched) if _method(path) == "POST"]
    answers = {path: watched.get(path, method="POST").status for path in actions}

    assert len(actions) >= len(ACTIONS)
    assert set(answers.values()) == {403}


def test_the_page_of_queues_counts_what_waits(watched: Watched) -> None:
    """By the broker's real name, which has no password in it."""
    page = watched.get("/broker").text

    assert "redis://" in page
    assert all(queue in page for queue in ("postroom.urgent", "postroom.normal", "postroom.bulk"))


def test_a_browser_shows_it_readably(watched: Watched) -> None:
    """The pages as a person has them, with what their scripts fetch; and they fetch nothing from anywhere else."""
    require("Chromium and playwright-core", is_there=chromium() is not None)
    failed, retried = watched.receipts["wrong password"].id, watched.receipts["busy"].id
    tasks, workers, failure, retry = look_at(
        [
            # A table first says that it is empty, then asks for its rows.
            Look(f"{watched.url}/tasks", f"#tasks-table tbody tr:has-text('{failed}')"),
            Look(f"{watched.url}/workers", "#workers-table tbody tr:has-text('postroom@')"),
            Look(f"{watched.url}/task/{failed}"),
            Look(f"{watched.url}/task/{retried}"),
        ],
        auth=(USER, PASSWORD),
    )

    for word in ("SUCCESS", "FAILURE", "RETRY", "HELD", "Partial(code=1301, accepted=1, refused=1)", failed):
        assert word in tasks.text
    assert "postroom@" in workers.text
    assert "EmailSessionException(300, phase='auth', smtp_code=535" in failure.text
    assert re.search(r"SmtpCommandException\(1301, smtp_code=450.*, again in \d+ s", retry.text)
    for page in (tasks, workers, failure, retry):
        assert page.errors == []
        assert [url for url in page.requests if not url.startswith((watched.url, "data:"))] == []
        assert [word for word in PERSONAL if word in page.html] == []


def test_celerys_own_command_is_as_safe(redis_url: str, post: Post) -> None:
    """Refused where it would show to other machines; ours refuses as well."""
    environment = {"PATH": "", "POSTROOM_BROKER_URL": redis_url}
    for start in (["celery", "-A", "postroom_worker"], ["postroom"]):
        ended = subprocess.run(
            [sys.executable, "-m", *start, "flower", "--address=0.0.0.0", f"--port={free_port()}"],
            cwd=post.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

        assert ended.returncode == 78
        assert "set POSTROOM_FLOWER_AUTH (or POSTROOM_FLOWER_AUTH_FILE) to user:password first" in ended.stderr
        assert "Traceback" not in ended.stderr


def test_events_are_what_flower_shows(watched: Watched) -> None:
    """Anybody at Redis can listen to them: they hold no more."""
    app = Celery("listener", broker=watched.post.redis_url, set_as_current=False)
    heard: list[Any] = []
    with app.connection_for_read() as connection:
        receiver = app.events.Receiver(connection, handlers={"*": heard.append})
        listening = receiver.itercapture(limit=None, timeout=30, wakeup=False)
        next(listening)  # an empty word, when it listens
        watched.make_one("overheard", "sent")
        watched.make_one("overheard too", "refused")
        while not {"task-succeeded", "task-failed"} <= {event["type"] for event in heard}:
            next(listening)
    app.close()

    assert [word for word in PERSONAL if word in str(heard)] == []
