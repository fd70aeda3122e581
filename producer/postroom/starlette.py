"""Postroom inside Starlette: a lifespan that opens a mailer with the application and closes it with it.

Owns where the mailer lies while the application runs (`app.state.postroom_mailer`). A mailer that lies there already, a test's
`OutboxMailer` say, is left alone. FastAPI's dependency is made of this; applications import either.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from starlette.requests import HTTPConnection

from postroom.mailer import AnyMailer, Mailer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.applications import Starlette


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    """Keep a mailer while the application runs: `Starlette(lifespan=lifespan)`, or inside a lifespan of your own.

    Raises:
        SettingsException: something is missing or wrong in the environment; all of it is listed.
    """
    if getattr(app.state, "postroom_mailer", None) is not None:
        yield
        return
    with Mailer.from_env() as mailer:
        app.state.postroom_mailer = mailer
        try:
            yield
        finally:
            del app.state.postroom_mailer


# The annotation is the class itself: FastAPI reads it when the application is made.
def get_mailer(connection: HTTPConnection) -> AnyMailer:
    """The mailer of the application that a request or a WebSocket belongs to; `await mailer.asend(...)`.

    Raises:
        RuntimeError: the application does not run in `lifespan`.
    """
    mailer: AnyMailer | None = getattr(connection.app.state, "postroom_mailer", None)
    if mailer is None:
        raise RuntimeError("there is no mailer: give the application the lifespan of postroom.starlette (or .fastapi)")
    return mailer
