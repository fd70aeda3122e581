"""The mailer: takes a message from the application and leaves it, sealed, in the queue.

Owns the order of steps of a send and nothing else: refusing bad input is the contract's business, writing to Redis the
broker's. One mailer serves a whole process, its threads, and what is forked from it.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any, Protocol, Self, Unpack

from postroom.options import SendOptions, check_key, check_names
from postroom.receipt import Receipt
from postroom.settings import ProducerSettings
from postroom.tracing import handing_over
from postroom.tracking import Tracking
from postroom_broker.connection import connect, without_password
from postroom_broker.ledger.orders import Identity, Orders
from postroom_broker.results import Results
from postroom_broker.task_message import SealedDelivery
from postroom_contract.delivery import Delivery
from postroom_contract.error_codes import ErrorCode
from postroom_contract.errors import ArgumentException
from postroom_contract.names import QUEUE_OF_PRIORITY
from postroom_contract.session import BasicEmailSessionDetails

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from postroom_contract.message import EmailMessage
    from postroom_contract.sealing import Keyring

# A name that a program has put together may hold anything: only what looks like one is shown.
_NAME = re.compile(r"[\w.-]{1,40}")


class AnyMailer(Protocol):
    """What an application relies on, to annotate what may be a `Mailer` or, in its tests, an `OutboxMailer`."""

    def send(
        self,
        message: EmailMessage | Mapping[str, Any],
        session: BasicEmailSessionDetails | Mapping[str, Any] | str,
        **options: Unpack[SendOptions],
    ) -> Receipt:
        """Queue a message and return its receipt."""

    async def asend(
        self,
        message: EmailMessage | Mapping[str, Any],
        session: BasicEmailSessionDetails | Mapping[str, Any] | str,
        **options: Unpack[SendOptions],
    ) -> Receipt:
        """Do the same without blocking the event loop."""

    def check(
        self,
        message: EmailMessage | Mapping[str, Any],
        session: BasicEmailSessionDetails | Mapping[str, Any] | str,
        **options: Unpack[SendOptions],
    ) -> None:
        """Refuse what `send` would refuse, and queue nothing."""

    def receipt(self, delivery_id: str) -> Receipt:
        """The receipt of a message handed over earlier."""

    def scheduled(self) -> Iterator[tuple[Receipt, datetime]]:
        """The messages that wait for their `send_at`, the next first."""

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
        self._orders = Orders(self._broker, has_results=shared)
        self._tracking = Tracking(self._orders, Results(self._result_client), is_apart=not shared)

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
        **options: Unpack[SendOptions],
    ) -> Receipt:
        """Queue a message and return its receipt.

        Args:
            message: the message, or the block's JSON for one.
            session: the session details, the block's JSON for them, or the name of a configured session.
            options: `close_session`, `send_at`, `expires_at`, `on_unknown`, `on_outcome`, `idempotency_key`,
                `receipt_id`; see
                `SendOptions`.

        Raises:
            PostroomError: the block's exception for bad input; nothing was queued.
            IdempotencyException: the key or the receipt id belongs to another message; nothing was queued.
            BrokerUnavailable: Redis is away; `maybe_enqueued` tells whether the message may be queued. Sending it again
                with `receipt_id` cannot double it.
            TypeError: there is no such keyword; nothing was queued.
        """
        key = check_key(options.get("idempotency_key"))
        if options.get("on_outcome") is None:
            options["on_outcome"] = self._settings.on_outcome
        delivery = make_delivery(message, session, self._settings.sessions, options)
        keyring = self._settings.keyring
        queue, destination = QUEUE_OF_PRIORITY[delivery.message.priority], delivery.seal_destination(keyring)
        payload, identity = delivery.seal(keyring), identify(delivery, key, keyring)
        with handing_over(queue, delivery.id) as trace:
            sealed = SealedDelivery(delivery.id, queue, payload, destination=destination, trace=trace)
            entered_id = self._orders.enter(sealed, identity, delivery.send_at, delivery.expires_at)
        return self.receipt(entered_id)

    async def asend(
        self,
        message: EmailMessage | Mapping[str, Any],
        session: BasicEmailSessionDetails | Mapping[str, Any] | str,
        **options: Unpack[SendOptions],
    ) -> Receipt:
        """Queue a message without blocking the event loop: the round trip runs in a thread."""
        return await asyncio.to_thread(self.send, message, session, **options)

    def check(
        self,
        message: EmailMessage | Mapping[str, Any],
        session: BasicEmailSessionDetails | Mapping[str, Any] | str,
        **options: Unpack[SendOptions],
    ) -> None:
        """Refuse what `send` would refuse, and queue nothing: for mail that is to be sent later, after a commit.

        Raises:
            PostroomError: the block's exception for bad input.
        """
        check_key(options.get("idempotency_key"))
        make_delivery(message, session, self._settings.sessions, options)

    def receipt(self, delivery_id: str) -> Receipt:
        """The receipt of a message handed over earlier, perhaps by another process."""
        return Receipt(delivery_id, self._tracking, self._settings.keyring)

    def scheduled(self) -> Iterator[tuple[Receipt, datetime]]:
        """The messages that wait for their `send_at`, the next first."""
        return ((self.receipt(delivery_id), due_at) for delivery_id, due_at in self._orders.scheduled())

    def held(self) -> Iterator[tuple[Receipt, datetime]]:
        """The messages that wait for an operator's word (`on_unknown="hold"`), and since when."""
        return ((self.receipt(delivery_id), held_at) for delivery_id, held_at in self._orders.held())

    def close(self) -> None:
        """Close the connections to Redis."""
        self._broker.close()
        self._result_client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        """Say where it leaves messages and which sessions have names."""
        return f"Mailer({without_password(self._settings.broker_url)}, sessions={sorted(self._settings.sessions)})"


def make_delivery(
    message: EmailMessage | Mapping[str, Any],
    session: BasicEmailSessionDetails | Mapping[str, Any] | str,
    sessions: Mapping[str, BasicEmailSessionDetails],
    options: SendOptions,
) -> Delivery:
    """Check everything at once: mistakes in session, message and options are told together.

    Raises:
        PostroomError: the block's exception for the first mistake, listing all of them.
        TypeError: there is no such option.
    """
    check_names(options)
    details: object = session
    if isinstance(session, str):
        details = sessions.get(session)
        if details is None:
            raise unknown_session(session, sessions)
    asked = {name: options.get(name) for name in ("on_unknown", "on_outcome", "send_at", "expires_at")}
    if options.get("receipt_id") is not None:
        asked["ReceiptId"] = options["receipt_id"]
    close_session = options.get("close_session") or False
    return Delivery.accept({"session": details, "message": message, "close_session": close_session, **asked})


def unknown_session(name: str, sessions: Mapping[str, BasicEmailSessionDetails]) -> ArgumentException:
    """The error that tells that no session has this name, and which ones there are."""
    known = ", ".join(sorted(sessions)) or "none: set POSTROOM_SESSIONS_FILE"
    shown = f" {name!r}" if _NAME.fullmatch(name) else " of that name"
    facts = {
        "property": "Session",
        "reason": "unknown_value",
        "detail": f"There is no session{shown} (known: {known}).",
    }
    return ArgumentException(ErrorCode.INVALID_ARGUMENT, facts)


def identify(delivery: Delivery, key: str | None, keyring: Keyring) -> Identity:
    """By what a delivery is known again; the key itself never leaves this process."""
    return Identity(delivery.fingerprints(keyring), () if key is None else keyring.digests(key, "idempotency key"))
