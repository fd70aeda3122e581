"""Which dead letters are meant, and the question before they are dropped, at a real terminal."""

import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from postroom_broker.keys import DEAD as DEAD_KEY
from postroom_broker.transport import envelope
from postroom_contract.names import QUEUE_NORMAL
from tests.broker.transport.conftest import message
from tests.producer.cli.conftest import Command
from tests.support.valkey import connect

# Starting an interpreter takes a while on a loaded machine.
TIMEOUT_S = 60


@pytest.fixture
def client(redis_url: str) -> Iterator[Any]:
    """A plain client, with which the test looks and prepares."""
    with connect(redis_url) as client:
        yield client


def bury(client: Any, *ids: str) -> None:
    """Put a message for each id into the list."""
    for each in ids:
        client.rpush(DEAD_KEY, envelope.dead(message(each), reason="rejected", deliveries=1, queue=QUEUE_NORMAL))


class Terminal:
    """`postroom dead` at a terminal, with somebody who answers."""

    def __init__(self, url: str, *arguments: str) -> None:
        self._ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "postroom", "dead", *arguments],
            env={**os.environ, "POSTROOM_BROKER_URL": url},
            stdin=theirs,
            stderr=theirs,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        os.close(theirs)

    def question(self) -> str:
        """Read until the question stands there; pytest's own timeout is the deadline."""
        shown = ""
        while "[y/N]: " not in shown:
            shown += os.read(self._ours, 1024).decode()
        return shown

    def answer(self, word: str) -> int:
        """Answer it, and return how the command ends."""
        os.write(self._ours, f"{word}\n".encode())
        self.process.communicate(timeout=TIMEOUT_S)
        os.close(self._ours)
        return self.process.returncode


def test_a_person_is_asked_and_says_yes(redis_url: str, client: Any) -> None:
    """The question says how many, and yes drops them."""
    bury(client, "a", "b", "c")
    terminal = Terminal(redis_url, "drop", "a", "b")

    assert "Drop 2 dead letters for good?" in terminal.question()
    assert client.llen(DEAD_KEY) == 3
    assert terminal.answer("y") == 0
    assert client.llen(DEAD_KEY) == 1


@pytest.mark.parametrize("word", ["n", "", "what?\nno"])
def test_whatever_is_not_yes_drops_nothing(redis_url: str, client: Any, word: str) -> None:
    """No, nothing, and what is no answer."""
    bury(client, "a")
    terminal = Terminal(redis_url, "drop", "--all")

    assert "Drop 1 dead letter for good?" in terminal.question()
    assert terminal.answer(word) == 130
    assert client.llen(DEAD_KEY) == 1


def test_what_dies_while_the_question_is_read_is_not_dropped(redis_url: str, client: Any) -> None:
    """All means those that were asked about."""
    bury(client, "a", "b")
    terminal = Terminal(redis_url, "drop", "--all")
    terminal.question()
    client.lpop(DEAD_KEY)
    bury(client, "late")

    assert terminal.answer("y") == 0
    assert [envelope.read_dead(entry).text for entry in client.lrange(DEAD_KEY, 0, -1)] == [message("late")]


def test_what_another_has_taken_while_the_question_is_read_is_told(redis_url: str, client: Any) -> None:
    """Who named it is told that it is gone: 16."""
    bury(client, "a")
    terminal = Terminal(redis_url, "drop", "a")
    terminal.question()
    client.delete(DEAD_KEY)

    assert terminal.answer("y") == 16


def test_nobody_is_asked_where_there_is_nothing_to_drop(redis_url: str) -> None:
    """The command ends by itself."""
    terminal = Terminal(redis_url, "drop", "gone")

    assert terminal.process.wait(TIMEOUT_S) == 16
    assert terminal.answer("y") == 16


@pytest.mark.parametrize("names", [["a"], ["--all"]])
def test_without_a_terminal_drop_needs_to_be_sure(
    command: Command, redis_url: str, client: Any, names: list[str]
) -> None:
    """Exit code 2, a line that says how, and nothing is dropped."""
    bury(client, "a")
    done = command("dead", "drop", *names, POSTROOM_BROKER_URL=redis_url)

    assert (done.exit_code, done.stdout) == (2, "")
    assert "--yes" in done.stderr
    assert client.llen(DEAD_KEY) == 1


@pytest.mark.parametrize("deed", [["requeue"], ["drop", "--yes"]], ids=lambda deed: deed[0])
@pytest.mark.parametrize("names", [[], ["a", "--all"], ["a", "--reason", "rejected"], ["--reason", "rejected"]])
def test_a_choice_is_made_in_one_way(
    command: Command, redis_url: str, client: Any, deed: list[str], names: list[str]
) -> None:
    """Names or all, and a reason only with all: anything else is wrong usage, and nothing is touched."""
    bury(client, "a")

    assert command("dead", *deed, *names, POSTROOM_BROKER_URL=redis_url).exit_code == 2
    assert client.llen(DEAD_KEY) == 1
