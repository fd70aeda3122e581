"""Calls that share a round trip: who is served together, and what each learns when the server is away."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from postroom.testing import free_port
from postroom_broker.connection import aconnect
from postroom_broker.ledger.batches import MOST_CHARACTERS_PER_CALL, MOST_PER_CALL, Batch
from postroom_broker.script import Script
from postroom_contract.errors import BrokerUnavailable
from tests.support.valkey import connect


class Echo(Script):
    """Answers each item with its own argument, behind the shared one; an item of the wrong type breaks the call."""

    def __init__(self) -> None:
        super().__init__("postroom_broker.ledger", "release")
        for name, text in {
            "text": "local a = {}; redis.call('INCR', KEYS[1]); "
            "for i = 2, #KEYS do redis.call('HSET', KEYS[i], 'f', 1); redis.call('EXPIRE', KEYS[i], 60); "
            "a[i - 1] = ARGV[1] .. ARGV[i] end; redis.call('EXPIRE', KEYS[1], 60); return a",
            "sha": "0" * 40,
        }.items():
            object.__setattr__(self, name, text)


def run(url: str, work: Callable[[Batch], Awaitable[Any]]) -> Any:
    """Work with a batch on an event loop."""

    async def within() -> Any:
        client = aconnect(url)
        try:
            return await work(Batch(client, Echo(), ["calls"], ["shared-"]))
        finally:
            await client.aclose()

    return asyncio.run(within())


def calls(url: str) -> int:
    """How often the script has run."""
    with connect(url) as client:
        return int(client.get("calls") or 0)


async def ask_all(batch: Batch, names: list[str]) -> list[Any]:
    """Ask for all of them in one turn of the loop."""
    return list(await asyncio.gather(*(batch.ask([name], [name]) for name in names), return_exceptions=True))


def test_who_asks_together_is_served_together(redis_url: str) -> None:
    """One call, and each gets its own answer."""
    names = [f"k{number}" for number in range(MOST_PER_CALL)]

    assert run(redis_url, lambda batch: ask_all(batch, names)) == [f"shared-{name}".encode() for name in names]
    assert calls(redis_url) == 1


def test_more_than_fit_take_further_calls(redis_url: str) -> None:
    """No call holds up the server for long."""
    run(redis_url, lambda batch: ask_all(batch, [f"k{number}" for number in range(2 * MOST_PER_CALL + 1)]))

    assert calls(redis_url) == 3


def test_large_items_do_not_share_a_call(redis_url: str) -> None:
    """Retries carry their messages, and a call that does not get through in time would be made in vain for ever."""
    large = "x" * (MOST_CHARACTERS_PER_CALL // 2 + 1)

    async def ask(batch: Batch) -> list[Any]:
        arguments = [large, large, "small", 2 * large, "small"]
        return await asyncio.gather(*(batch.ask([f"k{number}"], [told]) for number, told in enumerate(arguments)))

    assert [len(answer) - len("shared-") for answer in run(redis_url, ask)] == [len(large)] * 2 + [5, 2 * len(large), 5]
    assert calls(redis_url) == 4


def test_an_item_that_breaks_the_call_breaks_only_itself(redis_url: str) -> None:
    """The others are asked for again, each alone."""
    with connect(redis_url) as client:
        client.set("broken", "of another type", ex=60)
    good, broken, also_good = run(redis_url, lambda batch: ask_all(batch, ["a", "broken", "c"]))

    assert (good, also_good) == (b"shared-a", b"shared-c")
    assert isinstance(broken, BrokerUnavailable)


def test_an_item_that_cannot_be_told_breaks_only_itself(redis_url: str) -> None:
    """An id that is no text (half a surrogate pair) never leaves this process, and nobody else is cancelled for it."""
    good, broken, also_good = run(redis_url, lambda batch: ask_all(batch, ["a", "\ud800", "c"]))

    assert (good, also_good) == (b"shared-a", b"shared-c")
    assert isinstance(broken, UnicodeEncodeError)


def test_without_a_server_everybody_is_told() -> None:
    """And the next one who asks is asked for anew."""
    answers = run(f"redis://127.0.0.1:{free_port()}/0", lambda batch: ask_all(batch, ["a", "b"]))

    assert [type(answer) for answer in answers] == [BrokerUnavailable] * 2


def test_who_does_not_wait_any_more_disturbs_nobody(redis_url: str) -> None:
    """A cancelled question is asked all the same, and its answer dropped."""

    async def one_gives_up(batch: Batch) -> Any:
        gone, stays = (asyncio.create_task(batch.ask([name], [name])) for name in "ab")
        await asyncio.sleep(0)
        gone.cancel()
        return await stays

    assert run(redis_url, one_gives_up) == b"shared-b"


def test_a_stopped_call_stops_those_who_wait_for_it(redis_url: str) -> None:
    """A loop that ends leaves nobody waiting for ever."""

    async def stopped(batch: Batch) -> Any:
        waiting = asyncio.create_task(batch.ask(["a"], ["a"]))
        await asyncio.sleep(0)
        (call,) = [task for task in asyncio.all_tasks() if task.get_name() == "ledger call"]
        await asyncio.sleep(0)
        call.cancel()
        await asyncio.wait([waiting], timeout=10)
        return waiting.cancelled()

    assert run(redis_url, stopped) is True


@pytest.mark.parametrize("name", ["claim", "commit", "settle"])
def test_the_batched_scripts_answer_for_each_item(name: str) -> None:
    """Their headers say so; the batch relies on it."""
    folder = Path(__file__).parents[3] / "broker" / "postroom_broker" / "ledger" / "lua"
    assert "Returns  for each delivery" in (folder / f"{name}.lua").read_text()
