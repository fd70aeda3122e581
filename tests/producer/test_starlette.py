"""The mailer of a Starlette application: there while it runs, closed when it stops."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket

from postroom import EmailMessage, Mailer
from postroom.errors import SettingsException
from postroom.starlette import get_mailer, lifespan
from postroom.testing import OutboxMailer
from postroom_contract.sealing import generate_key
from tests.support.payloads import BLOCK_SESSION

MESSAGE = EmailMessage(to="ann@example.com", from_="shop@example.com", subject="Order 17", body="On its way.")


async def order(request: Request) -> JSONResponse:
    """Queue a mail without blocking the loop."""
    receipt = await get_mailer(request).asend(MESSAGE, BLOCK_SESSION)
    return JSONResponse({"receipt": receipt.id})


async def order_live(websocket: WebSocket) -> None:
    """Do the same over a WebSocket."""
    await websocket.accept()
    receipt = await get_mailer(websocket).asend(MESSAGE, BLOCK_SESSION)
    await websocket.send_text(receipt.id)
    await websocket.close()


ROUTES = [Route("/orders", order, methods=["POST"]), WebSocketRoute("/live", order_live)]


def test_the_mailer_lives_as_long_as_the_application(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is made of the environment at the start and gone after the end; a second start makes another."""
    monkeypatch.setenv("POSTROOM_KEYS", generate_key())
    app = Starlette(lifespan=lifespan)
    for _ in range(2):
        with TestClient(app):
            assert isinstance(app.state.postroom_mailer, Mailer)
        assert not hasattr(app.state, "postroom_mailer")


def test_a_wrong_setting_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without keys the application does not start."""
    monkeypatch.delenv("POSTROOM_KEYS", raising=False)
    with pytest.raises(SettingsException, match="POSTROOM_KEYS"), TestClient(Starlette(lifespan=lifespan)):
        pass


def test_a_test_puts_its_own_mailer_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mailer that is there already is used for requests and WebSockets, and stays."""
    monkeypatch.delenv("POSTROOM_KEYS", raising=False)
    app = Starlette(routes=ROUTES, lifespan=lifespan)
    app.state.postroom_mailer = outbox = OutboxMailer()
    with TestClient(app) as client, client.websocket_connect("/live") as websocket:
        receipts = [client.post("/orders").json()["receipt"], websocket.receive_text()]

    assert sorted(delivery.id for delivery in outbox.outbox) == sorted(receipts)
    assert app.state.postroom_mailer is outbox


def test_inside_a_lifespan_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """An application that has other things to open opens this one among them."""
    monkeypatch.setenv("POSTROOM_KEYS", generate_key())

    @asynccontextmanager
    async def own(app: Starlette) -> AsyncIterator[dict[str, str]]:
        async with lifespan(app):
            yield {"database": "open"}

    app = Starlette(lifespan=own)
    with TestClient(app):
        assert isinstance(app.state.postroom_mailer, Mailer)


def test_without_the_lifespan_the_error_says_so() -> None:
    """A request to an application that has no mailer fails with what to do about it."""
    client = TestClient(Starlette(routes=ROUTES))

    with pytest.raises(RuntimeError, match="give the application the lifespan"):
        client.post("/orders")
