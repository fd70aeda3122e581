"""What a worker tells the ledger: that it is at work on a delivery, that it commits it, and how the attempt ended.

Owns the worker's three calls and how they bear an outage: a claim and a settlement wait until Redis is back, a commit does
not, because a message whose commit is not written down must not be sent. It belongs to the event loop that sends the mail.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ConnectionError as ConnectionBroken

from postroom_broker import keys
from postroom_broker.connection import aconnect, translated
from postroom_broker.ledger.batches import Batch
from postroom_broker.ledger.record import ENDED_EXPIRY_S, OPEN_EXPIRY_S, record_key
from postroom_broker.ledger.scripts import CLAIM, COMMIT, SETTLE
from postroom_broker.transport.custody import let_go, letting_go
from postroom_contract.errors import BrokerUnavailable
from postroom_contract.names import QUEUE_NEWS, RESULT_KEY
from postroom_contract.outcome import State

logger = logging.getLogger(__name__)

# How long to wait before Redis is asked again: a restart takes about a second, and each slot of the worker asks.
PAUSE_S = 0.5


class Standing(StrEnum):
    """How a worker stands to a delivery."""

    OURS = "ours"
    LOST = "lost"  # its lease is gone: the message is in its queue again, or with another worker
    ENDED = "ended"  # sent, failed or called back: there is nothing to do
    EXPIRED = "expired"  # its time is over


@dataclass(frozen=True, slots=True)
class Claim:
    """What a worker finds when it begins."""

    standing: Standing
    # An earlier worker let the last octets leave, and nobody knows what came of it.
    in_doubt: bool = False
    progress: str | None = None
    # The server's clock, by which mail is due and expires; None where there is no server to ask.
    now: datetime | None = field(default=None, compare=False)
    # Whether anything was known of it: a record that has expired, or was never made, vouches for nothing.
    is_recorded: bool = field(default=False, compare=False)
    # For how long it could have been sent already, by the same clock; None where nobody noted since when.
    waited_s: float | None = field(default=None, compare=False)


class Act(StrEnum):
    """What becomes of a delivery after an attempt."""

    END = "end"
    RETRY = "retry"
    HOLD = "hold"  # it waits for an operator's word
    BURY = "bury"  # the same, among the dead letters


@dataclass(frozen=True, slots=True, repr=False)
class Settlement:
    """How an attempt ended."""

    act: Act
    state: State
    result: str = ""  # Celery's, as JSON; empty: none
    progress: str = ""  # sealed
    message: str = ""  # with its queue before it; of a dead one, what stands in the list of dead ones
    wait_s: float = 0.0
    code: int | None = None
    reason: str | None = None


class Claims:
    """The ledger as the workers of one process use it. End it with `aclose`."""

    def __init__(self, broker_url: str, result_url: str | None = None) -> None:
        """Use a broker, and another server for results if they are kept elsewhere."""
        self._client = aconnect(broker_url)
        self._results = None if result_url in {None, broker_url} else aconnect(str(result_url))
        index = [keys.UNACKED_INDEX]
        places = [keys.UNACKED, *index, keys.DELAYED, keys.DELAYED_MESSAGES, keys.HELD, keys.DEAD, QUEUE_NEWS]
        self._claims = Batch(self._client, CLAIM, index, [OPEN_EXPIRY_S])
        self._commits = Batch(self._client, COMMIT, index, [OPEN_EXPIRY_S])
        self._settlements = Batch(self._client, SETTLE, places, [OPEN_EXPIRY_S, ENDED_EXPIRY_S])
        self._is_away = False

    async def claim(self, delivery_id: str, lease: str) -> Claim:
        """Begin an attempt; from now on no other worker can commit or settle under an earlier lease."""
        answer = await self._until_told(lambda: self._claims.ask([record_key(delivery_id)], [lease]))
        standing, committed, progress, result, now, is_recorded, due = answer
        if result:
            await self._store_elsewhere(delivery_id, result.decode())
        return Claim(
            Standing(standing.decode()),
            bool(committed),
            progress.decode() or None,
            datetime.fromtimestamp(float(now), UTC),
            bool(is_recorded),
            max(0.0, float(now) - float(due)) if due else None,
        )

    async def commit(self, delivery_id: str, lease: str, progress: str, expires_at: datetime | None) -> Standing:
        """Note that the last octets are about to leave; they may only where the answer is "ours".

        Args:
            delivery_id: which delivery.
            lease: by which its message is held.
            progress: sealed, as it is if nothing more is heard of this attempt.
            expires_at: when its time is over, by the server's clock.

        Raises:
            BrokerUnavailable: no answer came. The octets must not leave; what was noted, a settlement sets right.
        """
        limit = "" if expires_at is None else f"{expires_at.timestamp():.3f}"
        told = [record_key(delivery_id)], [lease, progress, limit]
        try:
            answer = await self._commits.ask(*told)
        except BrokerUnavailable as away:
            if not isinstance(away.__cause__, ConnectionBroken):
                raise
            # A blip: it may or may not have been noted, and noting it twice is the same as once.
            answer = await self._commits.ask(*told)
        return Standing(answer.decode())

    async def settle(self, delivery_id: str, lease: str, settlement: Settlement) -> Standing:
        """Write down how an attempt ended: record, result, acknowledgement and what is to come, in one step.

        It is told however long Redis is away, and a first cancellation does not stop it: this outcome is known nowhere else.
        """
        telling = asyncio.create_task(self._settle(delivery_id, lease, settlement), name=f"settle {delivery_id}")
        try:
            return await asyncio.shield(telling)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if telling.cancelled() or task is None:
                raise
            task.uncancel()
        try:
            return await telling
        except asyncio.CancelledError:
            logger.warning("The end of delivery %s could not be written down in time", delivery_id)
            raise

    async def aclose(self) -> None:
        """Close the connections."""
        for client in (self._client, self._results):
            if client is not None:
                await client.aclose()

    async def _settle(self, delivery_id: str, lease: str, settlement: Settlement) -> Standing:
        elsewhere = self._results is not None
        names = [record_key(delivery_id), RESULT_KEY.format(id=delivery_id)]
        told = [
            *(delivery_id, lease, settlement.act, settlement.state, settlement.result),
            *("record" if elsewhere else "here", settlement.progress, settlement.message, settlement.wait_s),
            *("" if settlement.code is None else settlement.code, settlement.reason or ""),
        ]
        with letting_go(lease):
            answer = await self._until_told(lambda: self._settlements.ask(names, told))
            standing = Standing(answer.decode())
            if standing is not Standing.OURS:
                return standing
            if elsewhere and settlement.result:
                await self._store_elsewhere(delivery_id, settlement.result, is_end=settlement.act is Act.END)
            if not (elsewhere and settlement.act is Act.END):
                let_go(lease)
        return standing

    async def _store_elsewhere(self, delivery_id: str, result: str, *, is_end: bool = True) -> None:
        """Store a result on its own server; until an end is stored there the message stays leased, and is done again.

        A retry's message is not leased any more: while that server is away, another worker may end the delivery.
        """
        client = self._results
        if client is not None:
            await self._until_told(lambda: _store(client, RESULT_KEY.format(id=delivery_id), result, is_end=is_end))

    async def _until_told(self, ask: Callable[[], Awaitable[Any]]) -> Any:
        while True:
            try:
                answer = await ask()
            except BrokerUnavailable as away:
                if not self._is_away:
                    logger.warning("The ledger does not answer (%s): waiting for it", type(away.__cause__).__name__)
                self._is_away = True
                await asyncio.sleep(PAUSE_S)
            else:
                if self._is_away:
                    logger.info("The ledger answers again")
                self._is_away = False
                return answer


async def _store(client: Redis, key: str, result: str, *, is_end: bool) -> None:
    with translated(client):
        async with client.pipeline(transaction=True) as transaction:
            # Only an end takes the place of what is there, which may be one.
            transaction.set(key, result, ex=ENDED_EXPIRY_S, nx=not is_end)
            transaction.publish(key, result)
            await transaction.execute()
