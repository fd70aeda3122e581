"""A delivery in a worker's hands: what the ledger's answers mean for a send, and a delivery of which no ledger knows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TypeVar

import pytest

from postroom.testing import free_port
from postroom_broker import keys
from postroom_broker.ledger.claims import Act, Claim, Claims, Settlement, Standing
from postroom_contract.errors import ExpiredException, IOException
from postroom_contract.outcome import State
from postroom_worker.assignment import Leased, Overtaken, Unrecorded
from postroom_worker.verdict import FailureClass, classify
from tests.support.valkey import connect

ID, LEASE = "d1", "lease:a.1.1"
SENT = Settlement(Act.END, State.SENT, "told")

T = TypeVar("T")


def run(url: str, work: Callable[[Leased], Awaitable[T]]) -> T:
    """Work with a leased delivery."""

    async def within() -> T:
        claims = Claims(url)
        try:
            return await work(Leased(ID, LEASE, claims))
        finally:
            await claims.aclose()

    return asyncio.run(within())


@pytest.fixture
def url(redis_url: str) -> str:
    """A server on which the lease is good."""
    with connect(redis_url) as client:
        client.hset(keys.UNACKED, LEASE, "message")
        client.zadd(keys.UNACKED_INDEX, {LEASE: time.time()})
    return redis_url


def test_a_delivery_is_begun_committed_and_settled(url: str) -> None:
    """The three calls, in order."""

    async def attempt(assignment: Leased) -> tuple[Claim, Standing | None]:
        claim = await assignment.claim()
        await assignment.commit("progress", None)
        return claim, await assignment.settle(SENT)

    assert run(url, attempt) == (Claim(Standing.OURS), Standing.OURS)


def test_a_lost_lease_ends_the_attempt_before_the_last_octets(url: str) -> None:
    """Whoever has the message now may send it; this worker must not."""

    async def attempt(assignment: Leased) -> None:
        await assignment.claim()
        with connect(url) as client:
            client.zrem(keys.UNACKED_INDEX, LEASE)
        await assignment.commit("progress", None)

    with pytest.raises(Overtaken) as caught:
        run(url, attempt)
    assert caught.value.standing is Standing.LOST


def test_what_is_too_late_is_expired(url: str) -> None:
    """A typed error, which is the delivery's end."""

    async def attempt(assignment: Leased) -> None:
        await assignment.claim()
        await assignment.commit("progress", datetime(2020, 1, 1, tzinfo=UTC))

    with pytest.raises(ExpiredException):
        run(url, attempt)


def test_without_redis_the_last_octets_stay_here_and_it_is_not_the_messages_fault() -> None:
    """The attempt is tried again and charged to nobody."""

    async def attempt(assignment: Leased) -> None:
        await assignment.commit("progress", None)

    with pytest.raises(IOException) as caught:
        run(f"redis://127.0.0.1:{free_port()}/0", attempt)
    assert (caught.value.reason, classify(caught.value)) == ("broker_away", FailureClass.BROKER)


def test_an_unrecorded_delivery_is_left_to_celery() -> None:
    """Nothing is asked, nothing noted, and Celery stores and acknowledges."""

    async def attempt() -> tuple[Claim, Standing | None]:
        assignment = Unrecorded(ID, is_repeated=True)
        claim = await assignment.claim()
        await assignment.commit("progress", None)
        return claim, await assignment.settle(SENT)

    assert asyncio.run(attempt()) == (Claim(Standing.OURS), None)
