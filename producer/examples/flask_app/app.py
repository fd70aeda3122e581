"""A Flask application with a view that sends mail: `gunicorn --preload --workers 2 "app:create_app()"`.

Its tests call `create_app(POSTROOM_MAILER=OutboxMailer({"shop": ...}))` and look into the outbox.
"""

from typing import Any

from flask import Flask, request

from postroom import EmailMessage
from postroom.errors import BrokerUnavailable, PostroomError
from postroom.flask import Postroom

postroom = Postroom()


def create_app(**config: Any) -> Flask:
    """Make the application."""
    app = Flask(__name__)
    app.config.from_mapping(POSTROOM_SESSION="shop", **config)
    postroom.init_app(app)

    @app.post("/orders")
    def order() -> tuple[dict[str, Any], int]:
        """Take an order and confirm it by mail."""
        try:
            message = EmailMessage(
                to=request.get_json()["email"],
                from_="shop@example.com",
                subject="Your order",
                body="It is on its way.",
                html_body="<p>It is <b>on its way</b>.</p>",
            )
            receipt = postroom.send(message)
        except BrokerUnavailable:
            raise  # not the customer's mistake: a 500, and the server's log says why
        except PostroomError as refused:
            return refused.as_dict(), 400
        return {"receipt": receipt.id}, 202

    @app.get("/orders/<uuid:receipt_id>")
    def state(receipt_id: object) -> dict[str, str]:
        """Tell where an order's mail is."""
        return {"state": postroom.receipt(str(receipt_id)).state()}

    return app
