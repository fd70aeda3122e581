"""Whose turn it is to be called: a host that is slow or away takes no slots from mail."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from postroom.testing import free_port
from postroom_contract.destination import HostTask, Webhook
from postroom_contract.news import News
from postroom_contract.outcome import State
from postroom_contract.webhook_signature import WebhookSecrets, generate_secret
from postroom_worker.news.host_tasks import HostTasks
from postroom_worker.news.teller import FIRST_REST_S, Teller
from postroom_worker.news.webhook import WebhookCaller
from tests.support.receiver import Receiver
from tests.support.waiting import wait_until_async

NEWS = News("0f8fad5b-d9cb-469f-a165-70867728950e", State.SENT)


@dataclass
class Clock:
    """Time as a test has it."""

    now: float = 100.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Scene:
    """A teller, with one slot for calls if nothing else is said, whose time a test makes pass."""

    clock: Clock = field(default_factory=Clock)
    slots: int = 5

    def __post_init__(self) -> None:
        webhooks = WebhookCaller(WebhookSecrets.parse(generate_secret()))
        tasks = HostTasks(f"redis://127.0.0.1:{free_port()}/0")
        self.teller = Teller(webhooks, tasks, self.slots, clock=self.clock, random=lambda: 0.5)

    async def reason(self, url: str) -> str | None:
        """Why a call was in vain, or put off."""
        return (await self.teller.tell(NEWS, Webhook(url))).reason


def test_a_place_that_failed_rests_longer_each_time() -> None:
    """Others are called meanwhile; one success, and all is forgotten."""

    async def story(down: Receiver, well: Receiver) -> list[str | None]:
        scene = Scene()
        told = [await scene.reason(down.url), await scene.reason(down.url), await scene.reason(well.url)]
        scene.clock.now += FIRST_REST_S
        told += [await scene.reason(down.url)]
        scene.clock.now += FIRST_REST_S
        told += [await scene.reason(down.url)]
        scene.clock.now += FIRST_REST_S
        down.script = lambda _: 204
        told += [await scene.reason(down.url), await scene.reason(down.url)]
        await scene.teller.aclose()
        return told

    with Receiver(lambda _: 500) as down, Receiver() as well:
        told = asyncio.run(story(down, well))

    assert told == ["status_500", "resting", None, "status_500", "resting", None, None]


def test_what_is_put_off_is_spread_and_not_charged() -> None:
    """Not all of it comes the moment the rest is over."""

    async def story(url: str) -> tuple[float | None, bool]:
        scene = Scene()
        await scene.reason(url)
        answer = await scene.teller.tell(NEWS, Webhook(url))
        await scene.teller.aclose()
        return answer.retry_after_s, answer.is_charged

    with Receiver(lambda _: 500) as down:
        assert asyncio.run(story(down.url)) == (FIRST_REST_S * 1.5, False)


def test_calls_take_a_part_of_the_slots_only() -> None:
    """Of five slots one; who comes meanwhile is put off for a moment."""

    async def story(receiver: Receiver) -> str | None:
        scene = Scene()
        first = asyncio.create_task(scene.teller.tell(NEWS, Webhook(receiver.url)))
        await wait_until_async(lambda: receiver.requests, 20)
        reason = await scene.reason(receiver.url)
        receiver.may_answer.set()
        assert (await first).is_told
        await scene.teller.aclose()
        return reason

    with Receiver() as receiver:
        receiver.may_answer.clear()
        assert asyncio.run(story(receiver)) == "busy"


def test_a_place_that_is_slow_leaves_calls_to_others() -> None:
    """Of eight calls it gets six, and gets them again when they are over."""

    async def story(slow: Receiver, well: Receiver) -> list[str | None]:
        scene = Scene(slots=40)
        calls = [asyncio.create_task(scene.reason(slow.url)) for _ in range(6)]
        await wait_until_async(lambda: len(slow.requests) == 6, 20)
        told = [await scene.reason(slow.url), await scene.reason(well.url)]
        slow.may_answer.set()
        told += [*await asyncio.gather(*calls), await scene.reason(slow.url)]
        await scene.teller.aclose()
        return told

    with Receiver() as slow, Receiver() as well:
        slow.may_answer.clear()
        told = asyncio.run(story(slow, well))

    assert told == ["busy", *[None] * 8]


@pytest.mark.timeout(60)
def test_a_hosts_broker_that_is_away_rests_too() -> None:
    """A thread has waited for it once."""

    async def story() -> list[str | None]:
        scene = Scene()
        told = [(await scene.teller.tell(NEWS, HostTask("x"))).reason for _ in range(2)]
        await scene.teller.aclose()
        return told

    assert asyncio.run(story()) == ["OperationalError", "resting"]
