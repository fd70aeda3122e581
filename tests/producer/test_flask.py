"""The Flask extension: one mailer for each application, from its config or made already."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask

from postroom import Anonymous, BasicEmailSessionDetails, EmailMessage, Mailer, ServerDetails, State
from postroom.errors import SettingsException
from postroom.flask import Postroom
from postroom.testing import OutboxMailer
from postroom_contract.sealing import generate_key

SESSION = BasicEmailSessionDetails(
    server_details=ServerDetails(host="smtp.example.com", port=465), credentials=Anonymous()
)
MESSAGE = EmailMessage(to="ann@example.com", from_="shop@example.com", subject="Order 17", body="On its way.")

postroom = Postroom()


def create_app(**config: Any) -> Flask:
    """An application factory, as Flask's documentation recommends it."""
    app = Flask("shop")
    app.config.update(config)
    postroom.init_app(app)

    @app.post("/orders")
    def order() -> dict[str, str]:
        return {"receipt": postroom.send(MESSAGE).id}

    @app.get("/orders/<receipt>")
    def state(receipt: str) -> dict[str, str]:
        return {"state": postroom.receipt(receipt).state()}

    return app


def test_an_application_sends_and_asks() -> None:
    """A request queues a mail, a later one asks for it by its receipt's id."""
    outbox = OutboxMailer({"shop": SESSION})
    client = create_app(POSTROOM_MAILER=outbox, POSTROOM_SESSION="shop").test_client()
    receipt = client.post("/orders").get_json()["receipt"]

    assert client.get(f"/orders/{receipt}").get_json() == {"state": "sent"}
    assert [delivery.message.subject for delivery in outbox.outbox] == ["Order 17"]


def test_each_application_has_its_own_mailer() -> None:
    """One extension, two applications: a request's mail goes out by the mailer of its own."""
    outboxes = [OutboxMailer({"shop": SESSION}) for _ in range(2)]
    apps = [create_app(POSTROOM_MAILER=outbox, POSTROOM_SESSION="shop") for outbox in outboxes]
    apps[1].test_client().post("/orders")

    assert [len(outbox.outbox) for outbox in outboxes] == [0, 1]


def test_the_config_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """POSTROOM_* in the app's config make a real mailer."""
    monkeypatch.setenv("POSTROOM_KEYS", generate_key("env"))
    app = create_app(POSTROOM_KEYS=generate_key("flask"))
    with app.app_context():
        mailer = postroom.mailer

    assert isinstance(mailer, Mailer)
    assert mailer._settings.keyring.seal(b"", {}).startswith("v1.flask.")


def test_a_wrong_setting_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """An application without keys is not made."""
    monkeypatch.delenv("POSTROOM_KEYS", raising=False)
    with pytest.raises(SettingsException, match="POSTROOM_KEYS"):
        create_app()


def test_the_short_way() -> None:
    """`Postroom(app)` does what `init_app` does; a session may be named with each mail, and options pass."""
    app = Flask("shop")
    outbox = app.config["POSTROOM_MAILER"] = OutboxMailer({"bulk": SESSION})
    extension = Postroom(app)
    with app.app_context():
        receipt = extension.send(MESSAGE, "bulk", send_at="2099-01-01T00:00:00Z")

    assert extension is not postroom
    assert outbox.receipt(receipt.id).state() is State.SCHEDULED


def test_what_is_missing_is_told() -> None:
    """No session, no `init_app`: each error says what to do."""
    with create_app(POSTROOM_MAILER=OutboxMailer()).app_context(), pytest.raises(RuntimeError, match="which session"):
        postroom.send(MESSAGE)
    with Flask("other").app_context(), pytest.raises(RuntimeError, match="call init_app"):
        postroom.send(MESSAGE, "shop")
    with pytest.raises(RuntimeError, match="application context"):
        _ = postroom.mailer
