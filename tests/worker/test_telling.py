"""The task that tells news: what it does with what others may have written into its queue. The rest is tested whole."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest
from celery.app.task import Context
from celery.exceptions import Reject

from postroom_broker.death_reasons import DeathReason
from postroom_contract.destination import seal_destination
from postroom_contract.news import News
from postroom_contract.sealing import Keyring, generate_key
from postroom_contract.webhook_signature import WebhookSecrets, generate_secret
from postroom_worker.async_task import RetryLater
from postroom_worker.news.host_tasks import HostTasks
from postroom_worker.news.judgement import MOST_ATTEMPTS
from postroom_worker.news.teller import Teller
from postroom_worker.news.webhook import WebhookCaller
from postroom_worker.telling import TellTask
from tests.support.receiver import Receiver

ID = "0f8fad5b-d9cb-469f-a165-70867728950e"
KEYRING = Keyring.parse(generate_key())


@dataclass
class Grave:
    """Where news goes; the real one needs Redis, and is tested with it."""

    buried: list[DeathReason] = field(default_factory=list)

    async def bury(self, news: News, destination: str, why: DeathReason) -> None:
        """Keep the reason."""
        del news, destination
        self.buried.append(why)


def run(destination: str, *, state: str = "sent", attempts: int = 0) -> tuple[object, list[DeathReason]]:
    """What the task returns, and what it buries."""
    grave = Grave()
    secrets = WebhookSecrets.parse(generate_secret())

    async def running() -> object:
        teller = Teller(WebhookCaller(secrets), HostTasks("memory://"), slots=100)
        task = TellTask(lambda: KEYRING, lambda: teller, lambda: grave)  # type: ignore[arg-type,return-value]
        told = await task.arun(Context(), ID, state, None, destination, attempts)
        await teller.aclose()
        return told

    return asyncio.run(running()), grave.buried


def test_what_is_no_news_is_rejected() -> None:
    """The transport keeps it among the dead letters."""
    with pytest.raises(Reject):
        run("x", state="queued")


@pytest.mark.parametrize(
    ("destination", "why"),
    [
        ("x", DeathReason.NOT_SEALED_TEXT),
        (seal_destination("https://x/", ID, Keyring.parse(generate_key("other"))), DeathReason.UNKNOWN_KEY),
        (seal_destination("https://x/", "another", KEYRING), DeathReason.TAMPERED),
        (seal_destination("gopher://x/", ID, KEYRING), DeathReason.REJECTED),
    ],
    ids=["not sealed", "by another key", "for another delivery", "of an unknown form"],
)
def test_a_destination_that_cannot_be_opened_waits_for_an_operator(destination: str, why: DeathReason) -> None:
    """Nothing is called; the news is kept with the reason."""
    assert run(destination) == (None, [why])


def test_a_vain_attempt_is_made_again_with_what_is_known() -> None:
    """The number of attempts goes along; after the last one the news is buried."""
    with Receiver(lambda _: 500) as receiver:
        sealed = seal_destination(receiver.url, ID, KEYRING)
        later, _ = run(sealed, attempts=2)
        _, buried = run(sealed, attempts=MOST_ATTEMPTS - 1)

    assert isinstance(later, RetryLater)
    assert (later.after_s, later.args) == (120.0, (ID, "sent", None, sealed, 3))
    assert buried == [DeathReason.UNTOLD]
