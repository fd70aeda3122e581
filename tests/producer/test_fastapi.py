"""The FastAPI dependency: an async path function with a mailer, and what its tests put in its place."""

from __future__ import annotations

import pytest
from fastapi import FastAPI, WebSocket
from fastapi.testclient import TestClient

from postroom import EmailMessage, Mailer
from postroom.fastapi import PostroomMailer, get_mailer, lifespan
from postroom.testing import OutboxMailer
from postroom_contract.sealing import generate_key
from tests.support.payloads import BLOCK_SESSION

MESSAGE = EmailMessage(to="ann@example.com", from_="shop@example.com", subject="Order 17", body="On its way.")

app = FastAPI(lifespan=lifespan)


@app.post("/orders")
async def order(mailer: PostroomMailer) -> dict[str, str]:
    """Queue a mail without blocking the loop."""
    return {"receipt": (await mailer.asend(MESSAGE, BLOCK_SESSION)).id}


@app.get("/orders/{receipt}")
def state(receipt: str, mailer: PostroomMailer) -> dict[str, str]:
    """Ask Redis, in a thread: FastAPI runs plain functions in one."""
    return {"state": mailer.receipt(receipt).state()}


@app.get("/mailer")
def kind(mailer: PostroomMailer) -> str:
    """Say what the dependency gave."""
    return type(mailer).__name__


@app.websocket("/live")
async def order_live(websocket: WebSocket, mailer: PostroomMailer) -> None:
    """Do the same over a WebSocket."""
    await websocket.accept()
    await websocket.send_text((await mailer.asend(MESSAGE, BLOCK_SESSION)).id)
    await websocket.close()


def test_a_test_overrides_the_dependency() -> None:
    """With `dependency_overrides` requests and WebSockets use the outbox, and no environment is needed."""
    outbox = OutboxMailer()
    app.dependency_overrides[get_mailer] = lambda: outbox
    try:
        client = TestClient(app)
        receipt = client.post("/orders").json()["receipt"]
        with client.websocket_connect("/live") as websocket:
            receipts = [receipt, websocket.receive_text()]
        told = client.get(f"/orders/{receipt}").json()
    finally:
        app.dependency_overrides.clear()

    assert told == {"state": "sent"}
    assert [delivery.id for delivery in outbox.outbox] == receipts


def test_the_lifespan_s_mailer_is_what_a_path_function_gets(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the application runs, the dependency is the mailer made at its start."""
    monkeypatch.setenv("POSTROOM_KEYS", generate_key())
    with TestClient(app) as client:
        assert client.get("/mailer").json() == Mailer.__name__


def test_the_schema_does_not_show_the_dependency() -> None:
    """The API's description lists what a client sends, and no mailer."""
    schema = app.openapi()

    assert "parameters" not in schema["paths"]["/orders"]["post"]
