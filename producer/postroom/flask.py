"""Postroom inside Flask: an extension that gives each application a mailer.

Owns where the mailer comes from (the app's config over the environment) and which one a request means. It is made when
`init_app` is called, so that a wrong setting stops the start; gunicorn may fork afterwards. Applications import this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

from flask import Flask, current_app

from postroom.host_settings import over_environment
from postroom.mailer import AnyMailer, Mailer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from postroom.options import SendOptions
    from postroom.receipt import Receipt
    from postroom_contract.message import EmailMessage
    from postroom_contract.session import BasicEmailSessionDetails

# Under this name the mailer lies in `app.extensions`.
NAME = "postroom"


class Postroom:
    """The extension; one may serve several applications.

    Config: `POSTROOM_SESSION` is the session used where `send` names none. `POSTROOM_BROKER_URL` and the other variables of a
    producer may stand in the config, too. `POSTROOM_MAILER` takes a mailer that is made already, such as a test's
    `OutboxMailer`.
    """

    def __init__(self, app: Flask | None = None) -> None:
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Give an application its mailer.

        Raises:
            SettingsException: something is missing or wrong; all of it is listed.
        """
        app.extensions[NAME] = app.config.get("POSTROOM_MAILER") or Mailer.from_env(over_environment(app.config))

    @property
    def mailer(self) -> AnyMailer:
        """The mailer of the application at work.

        Raises:
            RuntimeError: there is no application context, or `init_app` was not called for it.
        """
        mailer: AnyMailer | None = current_app.extensions.get(NAME)
        if mailer is None:
            raise RuntimeError("Postroom does not know this application: call init_app(app) when it is made")
        return mailer

    def send(
        self,
        message: EmailMessage | Mapping[str, Any],
        session: BasicEmailSessionDetails | Mapping[str, Any] | str | None = None,
        **options: Unpack[SendOptions],
    ) -> Receipt:
        """Queue a message and return its receipt, as `Mailer.send` does.

        Args:
            message: the message.
            session: session details or a name; by default the config's `POSTROOM_SESSION`.
            options: those of `Mailer.send`.

        Raises:
            PostroomError: as `Mailer.send`.
            RuntimeError: no session was named, here or in the config.
        """
        used = session or current_app.config.get("POSTROOM_SESSION")
        if used is None:
            raise RuntimeError("which session? name it in send(), or set POSTROOM_SESSION in the app's config")
        return self.mailer.send(message, used, **options)

    def receipt(self, delivery_id: str) -> Receipt:
        """The receipt of a message handed over earlier, perhaps by another process."""
        return self.mailer.receipt(delivery_id)
