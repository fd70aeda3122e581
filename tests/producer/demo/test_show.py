"""The whole demo, run as a person runs it: everything comes out as it should, and nothing stays behind."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from postroom.demo.examples import all_examples
from tests.support.valkey import answers
from tests.support.waiting import wait_until

DEMO = [sys.executable, "-m", "postroom", "demo", "--json"]
# About seventeen seconds, most of them spent on retrying the closed port; more on a machine under load.
TIMEOUT_S = 100


def environment(folder: Path) -> Mapping[str, str]:
    """This process's environment, with temporary files in a folder of our own."""
    return {**os.environ, "TMPDIR": str(folder)}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """The demo, after one whole run."""
    folder = tmp_path_factory.mktemp("demo")
    done = subprocess.run(DEMO, env=environment(folder), capture_output=True, text=True, check=False, timeout=TIMEOUT_S)
    assert list(folder.iterdir()) == [], "temporary files stay behind"
    return done


@pytest.fixture
def report(finished: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """What it printed."""
    printed: dict[str, Any] = json.loads(finished.stdout)
    return printed


def test_everything_comes_out_as_it_should(
    finished: subprocess.CompletedProcess[str], report: dict[str, Any], tmp_path: Path
) -> None:
    """Exit code 0, one JSON document, and every example in it."""
    assert report["mistakes"] == []
    assert (finished.returncode, report["as_expected"]) == (0, True)
    assert [row["asked"] for row in report["rows"]] == [example.name for example in all_examples(tmp_path)]


def test_servers_copies_are_the_blocks_messages(report: dict[str, Any]) -> None:
    """Independently of the demo's own judgement: hidden Bcc, priority, HTML and whole attachments did arrive."""
    arrived = {row["asked"]: row["arrived"][0] for row in report["rows"] if row["arrived"]}

    assert len(arrived) == 9
    assert arrived["several Cc, several Bcc"]["hidden_recipients"] == [
        "bcc1@outlook.com",
        "bcc2@outlook.com",
        "bcc3@outlook.com",
    ]
    assert arrived["priority Urgent"]["priority"] == "urgent"
    assert (arrived["HTML body"]["content_type"], arrived["HTML body"]["body"]) == (
        "text/html",
        "<h1>Example email body</h1>",
    )
    assert [file["unchanged"] for file in arrived["two attachments"]["attachments"]] == [True, True]
    assert arrived["STARTTLS, UseSsl false"]["place"] == "STARTTLS port"


def test_failures_have_the_blocks_codes(report: dict[str, Any]) -> None:
    """The codes as block and documentation have them."""
    codes = {row["asked"]: row["outcome"]["error"]["error_code"] for row in report["rows"] if row["outcome"]["error"]}

    assert codes == {
        "wrong password": 300,
        "nothing listens there": 100,
        "attachment is missing": 1100,
        "not an address": 1300,
        "UseSsl true, STARTTLS port": 201,
        "UseSsl false, TLS port": 200,
    }


def test_connections_are_used_again(report: dict[str, Any]) -> None:
    """Eight messages to one server need no more connections than one process opens for an account."""
    tls = report["servers"][0]

    assert tls["messages"] == 8
    assert tls["connections"] <= 3


def test_nobody_is_left_waiting_without_a_word(finished: subprocess.CompletedProcess[str]) -> None:
    """Standard error tells each step and each outcome as it comes."""
    lines = finished.stderr.splitlines()

    assert [line.partition(":")[0] for line in lines[:5]] == ["SMTP servers", "Broker", "Worker", "Worker", "Queued"]
    assert sum(" s  " in line for line in lines) == 15
    assert any("still waiting for: nothing listens there (retrying)" in line for line in lines)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_interrupted_demo_leaves_nothing_behind(tmp_path: Path, number: signal.Signals) -> None:
    """In the middle of the work: broker, worker and files are gone, and the exit code is the signal's."""
    progress = tmp_path / "progress"
    folder = tmp_path / "temporary"
    folder.mkdir()
    with progress.open("wb") as output:
        process = subprocess.Popen(DEMO, env=environment(folder), stdout=output, stderr=output)
    try:
        wait_until(lambda: "Queued:" in progress.read_text(), 60, "the messages to be queued")
        process.send_signal(number)
        code = process.wait(60)
    finally:
        process.kill()
        process.wait()
    said = progress.read_text()
    (worker,) = re.findall(r"Worker: process (\d+)", said)
    (broker,) = re.findall(r"redis://\S+", said)

    assert code == 128 + number
    assert said.endswith("Interrupted: cleaning up\n")
    assert list(folder.iterdir()) == []
    assert not answers(broker)
    with pytest.raises(ProcessLookupError):
        os.kill(int(worker), 0)
