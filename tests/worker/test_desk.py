"""What the tasks of a process share: made when it is first asked for, and once."""

from __future__ import annotations

import asyncio

import pytest

from postroom_contract.sealing import generate_key
from postroom_worker.desk import Desk, worker_settings


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A desk whose settings are right."""
    for name in ("POSTROOM_KEYS", "POSTROOM_PASSWORD_KEYS"):
        monkeypatch.setenv(name, generate_key())
    worker_settings.cache_clear()
    monkeypatch.setattr("postroom_worker.desk.worker_settings", worker_settings.__wrapped__)
    return Desk("redis://127.0.0.1:1/0", "redis://127.0.0.1:1/0")


def test_each_thing_is_made_once_and_ended(desk: Desk) -> None:
    """A second question gets the same; nothing is connected to before it is used."""

    async def story() -> None:
        for make in (desk.office, desk.claims, desk.teller, desk.grave):
            assert make() is make()
        assert desk.stats().opened == 0
        await desk.close()

    asyncio.run(story())


def test_what_was_never_used_is_not_made_to_be_ended(desk: Desk) -> None:
    """A worker that got no mail ends as well."""
    desk.turn_away()
    asyncio.run(desk.close())
