"""Lua scripts: found, run, run anew by a server that forgot them, and documented."""

import asyncio
from pathlib import Path

import pytest

from postroom_broker.connection import aconnect, connect
from postroom_broker.script import Script
from postroom_broker.transport.scripts import STEP_BACK

BROKER = Path(__file__).parents[2] / "broker"


@pytest.mark.parametrize("path", sorted(BROKER.rglob("*.lua")), ids=lambda path: f"{path.parts[-3]}-{path.stem}")
def test_each_script_says_what_it_takes(path: Path) -> None:
    """A script opens with what it does, its keys, its arguments and its answer, and has no directive of one server."""
    package = ".".join(path.relative_to(BROKER).parts[:-2])
    text = Script(package, path.stem).text
    head = "".join(line for line in text.splitlines(keepends=True) if line.startswith("--"))
    assert text.startswith("-- ")
    assert all(part in head for part in ("KEYS", "ARGV", "Returns"))


def test_a_script_runs_where_it_was_never_heard_of(redis_url: str) -> None:
    """A server that was restarted, or whose scripts were flushed, is given the text again."""
    client = connect(redis_url)
    client.script_flush()

    assert [STEP_BACK(client, []), STEP_BACK(client, [])] == [0, 0]
    client.close()


def test_a_script_runs_on_an_event_loop_too(redis_url: str) -> None:
    """The same, without blocking."""

    async def run() -> list[int]:
        client = aconnect(redis_url)
        await client.script_flush()
        answers = [await STEP_BACK.acall(client, []) for _ in range(2)]
        await client.aclose()
        return answers

    assert asyncio.run(run()) == [0, 0]
