"""`postroom dev` as a process: everything comes up, mail arrives, and nothing is left behind."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from postroom.testing import free_port
from tests.support.post import ROOT
from tests.support.waiting import wait_until

TIMEOUT_S = 60.0
MESSAGE = {
    "EmailMessage": {"To": "ann@example.com", "From": "shop@example.com", "Subject": "s", "Body": "b"},
    "Session": "dev",
}

pytestmark = pytest.mark.usefixtures("valkey_program")


class Development:
    """The running command."""

    def __init__(self, folder: Path, **variables: str) -> None:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("POSTROOM_")}
        self.log = folder / "dev.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "postroom", "dev"], cwd=folder, env=clean | variables, stdout=log, stderr=log
            )
        self.folder = folder
        self.environment = clean

    def wait(self) -> None:
        """Return when it has said what it has to say."""
        wait_until(lambda: "Ctrl-C stops" in self.said or self.process.poll() is not None, TIMEOUT_S, "it to be up")
        assert self.process.poll() is None, self.said

    @property
    def said(self) -> str:
        """What it printed."""
        return self.log.read_text(errors="replace")

    def postroom(self, *arguments: str, on_outcome: str | None = None) -> dict[str, str]:
        """Run a command with what it says to export."""
        exported = dict(re.findall(r"export (\w+)=(\S+)", self.said))
        ended = subprocess.run(
            [sys.executable, "-m", "postroom", *arguments],
            input=json.dumps({**MESSAGE, "OnOutcome": on_outcome}),
            env=self.environment | exported,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        answer: dict[str, str] = json.loads(ended.stdout.splitlines()[-1])
        return answer

    def inbox(self) -> list[dict[str, str]]:
        """What is in the inbox."""
        found = re.search(r"inbox +(http://\S+)", self.said)
        assert found is not None
        with urllib.request.urlopen(f"{found[1]}/api/mails", timeout=10) as answer:  # noqa: S310 -- http, and ours
            mails: list[dict[str, str]] = json.load(answer)
            return mails


@contextmanager
def development(folder: Path, **variables: str) -> Iterator[Development]:
    """Run it, end it as Ctrl-C does, and see that nothing is left."""
    dev = Development(folder, **variables)
    try:
        dev.wait()
        yield dev
        dev.process.send_signal(signal.SIGINT)
        assert dev.process.wait(TIMEOUT_S) == 130
        assert processes_in(folder) == {}
    finally:
        if dev.process.poll() is None:
            dev.process.kill()
            dev.process.wait()


def processes_in(folder: Path) -> dict[int, str]:
    """Processes that run in a folder or below it, the command itself and what ended not among them."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if (entry / "cwd").readlink().is_relative_to(folder):
                found[int(entry.name)] = (entry / "cmdline").read_text()
        except OSError:
            continue  # it has ended, or is somebody else's
    return found


def test_mail_arrives_and_what_is_queued_is_kept(tmp_path: Path) -> None:
    """Sent with the lines that it prints; what was handed over for later is still there the next day."""
    with development(tmp_path) as dev:
        sent = dev.postroom("send", "-", "--wait", "30")
        assert sent["state"] == "sent"
        assert [mail["subject"] for mail in dev.inbox()] == ["s"]
        keys = (tmp_path / ".postroom" / "keys").read_text()
    with development(tmp_path) as dev:
        assert (tmp_path / ".postroom" / "keys").read_text() == keys
        # The outcome is kept for a day, by a broker that was stopped and started.
        assert dev.postroom("status", sent["id"])["state"] == "sent"


def test_a_schedule_runs_too(tmp_path: Path) -> None:
    """With the session of the inbox."""
    schedule = (ROOT / "ops" / "development" / "schedule.toml").read_text()
    (tmp_path / "schedule.toml").write_text(schedule.replace('"inbox"', '"dev"').replace('"1m"', '"1s"'))
    with development(tmp_path, POSTROOM_SCHEDULE_FILE=str(tmp_path / "schedule.toml")) as dev:
        wait_until(dev.inbox, TIMEOUT_S, "mail from the beat")


def test_a_schedule_that_is_wrong_is_told_before_anything_runs(tmp_path: Path) -> None:
    """Not by a beat that ends a moment after all was said to be ready."""
    (tmp_path / "schedule.toml").write_text("[[schedule]]\nname = 5\n")
    dev = Development(tmp_path, POSTROOM_SCHEDULE_FILE=str(tmp_path / "schedule.toml"))

    assert dev.process.wait(TIMEOUT_S) == 78
    assert "name is needed" in dev.said
    assert "inbox " not in dev.said
    assert processes_in(tmp_path) == {}


def test_a_program_that_ends_by_itself_ends_the_rest(tmp_path: Path) -> None:
    """With the end of its log."""
    dev = Development(tmp_path)
    dev.wait()
    [worker] = [pid for pid, command in processes_in(tmp_path).items() if "postroom_worker\0" in command]
    os.kill(worker, signal.SIGKILL)

    assert dev.process.wait(TIMEOUT_S) == 78
    assert "the worker has ended by itself (exit code -9)" in dev.said
    assert processes_in(tmp_path) == {}


def test_what_a_killed_one_leaves_is_named(tmp_path: Path) -> None:
    """All of it: a worker with old keys would open nothing that is queued, and put it among the dead letters."""
    dev = Development(tmp_path)
    dev.wait()
    dev.process.kill()
    dev.process.wait()
    left = processes_in(tmp_path)
    again = Development(tmp_path)
    try:
        assert again.process.wait(TIMEOUT_S) == 78
        named = re.search(r"End them first: kill ([\d ]+)", again.said)
        assert named is not None, again.said
        assert {int(pid) for pid in named[1].split()} == set(left)
        assert len(left) >= 2
    finally:
        for pid in left:
            os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not processes_in(tmp_path), TIMEOUT_S, "them to be gone")


def test_what_goes_wrong_is_told_in_a_line(tmp_path: Path) -> None:
    """By id and code: a webhook that cannot be reached. It is signed, though nobody has set a secret."""
    with development(tmp_path) as dev:
        sent = dev.postroom("send", "-", on_outcome=f"http://127.0.0.1:{free_port()}/hook")
        line = rf"^\d\d:\d\d:\d\d  news of delivery {sent['id']} is put_off: .*reason=ConnectError"
        wait_until(lambda: re.search(line, dev.said, re.MULTILINE), TIMEOUT_S, "a line")


def test_a_folder_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    """In a line."""
    (tmp_path / ".postroom").write_text("")
    dev = Development(tmp_path)

    assert dev.process.wait(TIMEOUT_S) == 78
    assert dev.said == "postroom: .postroom is there and is no folder: remove it, or name another with --folder\n"


def test_a_programs_own_sessions_lead_to_the_inbox(tmp_path: Path) -> None:
    """A program is run as it is, its paths are relative, and no mail leaves; each arrival is told, without its content."""
    (tmp_path / "sessions.toml").write_text(
        '[sessions.warehouse]\nhost = "smtp.example.com"\nport = 465\nanonymous = true\n'
    )
    (tmp_path / "schedule.toml").write_text(
        '[[schedule]]\nname = "x"\nevery = "1s"\nsession = "warehouse"\n'
        'message = {To = "ann@example.com", From = "shop@example.com", Subject = "canary", Body = "b"}\n'
    )
    variables = {"POSTROOM_SESSIONS_FILE": "sessions.toml", "POSTROOM_SCHEDULE_FILE": "schedule.toml"}
    with development(tmp_path, **variables) as dev:
        wait_until(dev.inbox, TIMEOUT_S, "mail from the beat")
        wait_until(
            lambda: re.search(r"^\d\d:\d\d:\d\d  http://\S+/mail/1$", dev.said, re.MULTILINE), TIMEOUT_S, "a line"
        )

    assert "canary" not in dev.said
    assert "sessions dev, shop, warehouse: all of them lead to the inbox" in dev.said


def test_a_second_one_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    """The first goes on."""
    with development(tmp_path) as dev:
        second = subprocess.run(
            [sys.executable, "-m", "postroom", "dev"],
            cwd=tmp_path,
            env=dev.environment,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        assert second.returncode == 78
        assert f"runs in .postroom already (process {dev.process.pid}): use it (source .postroom/env)" in second.stderr
        assert dev.postroom("send", "-", "--wait", "30")["state"] == "sent"
