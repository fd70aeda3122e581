"""A FastAPI application with a path function that sends mail: `uvicorn --workers 2 app:app`.

Its tests set `app.dependency_overrides[get_mailer] = lambda: outbox` and look into the outbox.
"""

from typing import Any
from uuid import UUID

from fastapi import FastAPI
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from postroom import EmailMessage
from postroom.errors import BrokerUnavailable, PostroomError
from postroom.fastapi import PostroomMailer, lifespan

app = FastAPI(lifespan=lifespan)


class Order(BaseModel):
    """What a customer sends."""

    email: str


@app.post("/orders", status_code=202)
async def order(order: Order, mailer: PostroomMailer) -> Any:
    """Take an order and confirm it by mail; the event loop serves others meanwhile."""
    try:
        message = EmailMessage(
            to=order.email,
            from_="shop@example.com",
            subject="Your order",
            body="It is on its way.",
            html_body="<p>It is <b>on its way</b>.</p>",
        )
        receipt = await mailer.asend(message, "shop")
    except BrokerUnavailable:
        raise  # not the customer's mistake: a 500, and the server's log says why
    except PostroomError as refused:
        return JSONResponse(refused.as_dict(), status_code=400)
    return {"receipt": receipt.id}


# A plain function: FastAPI runs it in a thread, for asking Redis would block the loop.
@app.get("/orders/{receipt_id}")
def state(receipt_id: UUID, mailer: PostroomMailer) -> dict[str, str]:
    """Tell where an order's mail is."""
    return {"state": mailer.receipt(str(receipt_id)).state()}
