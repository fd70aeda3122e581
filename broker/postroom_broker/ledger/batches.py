"""Calls of one script that share a round trip to Redis.

Owns the gathering: whoever asks while an earlier call is under way, or in the same turn of the event loop, is served by the
next call. It knows the form of a call (shared keys and arguments, then those of each item) and nothing of its meaning.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from postroom_broker.connection import translated
from postroom_broker.script import Argument, Script
from postroom_contract.errors import BrokerUnavailable

# More would gain little speed, and the server does nothing else meanwhile (64 items take it about a millisecond).
MOST_PER_CALL = 64
# A retry carries its message, attachments and all. One call must get through within the client's timeout (3 s), or it is
# made in vain for ever: this takes less than a second at 50 Mbit/s. A larger message goes alone.
MOST_CHARACTERS_PER_CALL = 4_000_000


@dataclass(frozen=True, slots=True, eq=False)
class _Item:
    keys: Sequence[str]
    arguments: Sequence[Argument]
    answer: asyncio.Future[Any]


class Batch:
    """One script, called for many items at once. It belongs to one event loop."""

    def __init__(
        self, client: Redis, script: Script, shared_keys: Sequence[str], shared_arguments: Sequence[Argument]
    ) -> None:
        self._client = client
        self._script = script
        self._shared = shared_keys, shared_arguments
        self._waiting: list[_Item] = []
        self._calling: asyncio.Task[None] | None = None

    async def ask(self, keys: Sequence[str], arguments: Sequence[Argument]) -> Any:
        """The script's answer for one item.

        Raises:
            BrokerUnavailable: none came; the script may have run.
        """
        item = _Item(keys, arguments, asyncio.get_running_loop().create_future())
        self._waiting.append(item)
        if self._calling is None:
            self._calling = asyncio.create_task(self._call_while_asked(), name="ledger call")
        return await item.answer

    async def _call_while_asked(self) -> None:
        items: list[_Item] = []
        try:
            # Once round the loop: all who ask in this turn share the call.
            await asyncio.sleep(0)
            while self._waiting:
                count = self._how_many_fit()
                items, self._waiting = self._waiting[:count], self._waiting[count:]
                await self._serve(items)
        finally:
            self._calling = None
            # Nobody must be left waiting by a loop that ends; after a good end all of these have their answers.
            for item in (*items, *self._waiting):
                item.answer.cancel()
            self._waiting = []

    def _how_many_fit(self) -> int:
        """How many of those that wait share the next call: at least one."""
        left = MOST_CHARACTERS_PER_CALL
        for count, item in enumerate(self._waiting[:MOST_PER_CALL]):
            left -= sum(len(argument) for argument in item.arguments if isinstance(argument, (str, bytes)))
            if left < 0:
                return max(1, count)
        return min(len(self._waiting), MOST_PER_CALL)

    async def _serve(self, items: Sequence[_Item]) -> None:
        try:
            with translated(self._client):
                answers = await self._call(items)
        except Exception as failure:  # noqa: BLE001 -- who asked gets it, whatever it is
            is_away = isinstance(failure, BrokerUnavailable) and not isinstance(failure.__cause__, ResponseError)
            if not is_away and len(items) > 1:
                # One record that is not what it should be, or one id that is no text, must not keep others from theirs.
                for item in items:
                    await self._serve([item])
                return
            for item in items:
                if not item.answer.done():
                    item.answer.set_exception(failure)
            return
        for item, answer in zip(items, answers, strict=True):
            if not item.answer.done():
                item.answer.set_result(answer)

    async def _call(self, items: Sequence[_Item]) -> Sequence[Any]:
        shared_keys, shared_arguments = self._shared
        keys = [*shared_keys, *(key for item in items for key in item.keys)]
        arguments = [*shared_arguments, *(argument for item in items for argument in item.arguments)]
        answers: Sequence[Any] = await self._script.acall(self._client, keys, arguments)
        return answers
