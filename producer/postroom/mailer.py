"""The mailer: takes a message from the application and leaves it, sealed, in the queue.

Owns the order of steps of a send and nothing else: refusing bad input is the contract's business, writing to Redis the
broker's. One mailer serves a whole process, its threads, and what is forked from it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol, Self

from postroom.receipt import Receipt
from postroom.settings import ProducerSettings
from postroom_broker.connection import connect
from postroom_broker.publisher import Publisher, SealedDelivery
from postroom_broker.results import Results
from postroom_contract.delivery import Delivery
from postroom_contract.error_codes import ErrorCode
from postroom_contract.errors import ArgumentException
from postroom_contract.names import QUEUE_OF_PRIORITY
from postroom_contract.session import BasicEmailSessionDetails

if TYPE_CHECKING:
    from collections.abc import Mapping

    from postroom_contract.message import EmailMessage


class AnyMailer(Protocol):
    """What an application relies on, to annotate what may be a `Mailer` or, in its tests, an `OutboxMailer`."""

    def send(
        self,
        message: EmailMessage | Mapping[str, Any],
        session: BasicEmailSessionDetails | Mapping[str, Any] | str,
        *,
        close_session: bool | None = None,
    ) -> Receipt:
        """Queue a message and return its receipt."""

    async def asend(
        self,
        message: EmailMessage | Mapping[str, Any],
        session: BasicEmailSessionDetails | Mapping[str, Any] | str,
        *,
        close_session: bool | None = None,
    ) -> Receipt:
        """Do the same without blocking the event loop."""

    def receipt(self, delivery_id: str) -> Receipt:
        """The receipt of a message handed over earlier."""

    def close(self) -> None:
        """Close the connections."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


class Mailer:
    """Hands messages over for sending."""

    def __init__(self, settings: ProducerSettings) -> None:
        self._settings = settings
        self._broker = connect(settings.broker_url)
        shared = settings.result_url == settings.broker_url
        self._result_client = self._broker if shared else connect(settings.result_url)
        self._publisher = Publisher(self._broker, self._result_client)
        self._results = Results(self._result_client)

    @classmethod
    def from_env(cls, variables: Mapping[str, str] | None = None) -> Self:
        """A mailer made from `POSTROOM_*` variables.

        Raises:
            SettingsException: something is missing or wrong; all of it is listed.
        """
        return cls(ProducerSettings.from_env(variables))

    def send(
        self,
        message: EmailMessage | Mapping[str, Any],
        session: BasicEmailSessionDetails | Mapping[str, Any] | str,
        *,
        close_session: bool | None = None,
    ) -> Receipt:
        """Queue a message and return its receipt.

        Args:
            message: the message, or the block's JSON for one.
            session: the session details, the block's JSON for them, or the name of a configured session.
            close_session: end the session after this message; null means false, as in the block.

        Raises:
            PostroomError: the block's exception for bad input; nothing was queued.
            BrokerUnavailable: Redis is away; `maybe_enqueued` tells whether the message may be queued.
        """
        delivery = make_delivery(message, session, self._settings.sessions, close_session=close_session)
        sealed = delivery.seal(self._settings.keyring)
        self._publisher.publish(SealedDelivery(delivery.id, QUEUE_OF_PRIORITY[delivery.message.priority], sealed))
        return self.receipt(delivery.id)

    async def asend(
        self,
        message: EmailMessage | Mapping[str, Any],
        session: BasicEmailSessionDetails | Mapping[str, Any] | str,
        *,
        close_session: bool | None = None,
    ) -> Receipt:
        """Queue a message without blocking the event loop: the round trip runs in a thread."""
        return await asyncio.to_thread(self.send, message, session, close_session=close_session)

    def receipt(self, delivery_id: str) -> Receipt:
        """The receipt of a message handed over earlier, perhaps by another process."""
        return Receipt(delivery_id, self._results, self._settings.keyring)

    def close(self) -> None:
        """Close the connections to Redis."""
        self._broker.close()
        self._result_client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def make_delivery(
    message: EmailMessage | Mapping[str, Any],
    session: BasicEmailSessionDetails | Mapping[str, Any] | str,
    sessions: Mapping[str, BasicEmailSessionDetails],
    *,
    close_session: bool | None,
) -> Delivery:
    """Check everything at once: mistakes in session and message are told together.

    Raises:
        PostroomError: the block's exception for the first mistake, listing all of them.
    """
    details: object = session
    if isinstance(session, str):
        details = sessions.get(session)
        if details is None:
            known = ", ".join(sorted(sessions)) or "none: set POSTROOM_SESSIONS_FILE"
            detail = f"There is no session of that name (known: {known})."
            facts = {"property": "Session", "reason": "unknown_value", "detail": detail}
            raise ArgumentException(ErrorCode.INVALID_ARGUMENT, facts)
    return Delivery.accept({"session": details, "message": message, "close_session": close_session or False})
