"""A mailer for tests that keeps what it is given in a list and lets the test say what becomes of it.

Owns the double of `Mailer`: the same calls, the same checks, the same sealing, receipts and errors, with memory in the
place of Redis and of the worker. It never waits: a delivery is decided when it is handed over, held until the end, or
scheduled until the test lets its time come (`send_due`).
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Self, Unpack

from postroom.mailer import identify, make_delivery
from postroom.options import SendOptions, check_key
from postroom.receipt import Receipt
from postroom.testing.memory import MemoryTracking
from postroom_broker import celery_results
from postroom_contract.delivery import Delivery
from postroom_contract.errors import (
    BrokerUnavailable,
    ExpiredException,
    PostroomError,
    SmtpCommandException,
    UnknownOutcomeException,
)
from postroom_contract.outcome import Expired, Failed, Outcome, Partial, Refusal, Report, Sent, Unknown, report_of_error
from postroom_contract.sealing import Keyring, generate_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from postroom_contract.message import EmailMessage
    from postroom_contract.session import BasicEmailSessionDetails


class OutboxMailer:
    """Stands in for a `Mailer`; `outbox` holds each delivery as a worker would open it, the oldest first.

    Every message is sent to everybody unless the test asked for something else beforehand: `fail_next`, `refuse` or
    `hold_next`.
    """

    def __init__(self, sessions: Mapping[str, BasicEmailSessionDetails] | None = None) -> None:
        """Make an empty outbox.

        Args:
            sessions: the session details that `send` may be asked for by name.
        """
        self.outbox: list[Delivery] = []
        self._sessions = {} if sessions is None else sessions
        self._keyring = Keyring.parse(generate_key())
        self._tracking = MemoryTracking()
        self._scheduled: dict[str, tuple[Delivery, PostroomError | None]] = {}
        self._next: list[PostroomError | None] = []
        self._refused: dict[str, Refusal] = {}

    def fail_next(self, error: PostroomError) -> None:
        """Let the next message fail: `BrokerUnavailable` when it is sent, any other error by its receipt."""
        self._next.append(error)

    def hold_next(self) -> None:
        """Let the next message stay queued: its receipt times out at once, however long it was to wait."""
        self._next.append(None)

    def refuse(self, address: str, code: int = 550, enhanced: str = "5.1.1", text: str = "No such user") -> None:
        """Let the server refuse a recipient, from now on."""
        self._refused[address] = Refusal(code=code, enhanced=enhanced, text=text)

    def send(
        self,
        message: EmailMessage | Mapping[str, Any],
        session: BasicEmailSessionDetails | Mapping[str, Any] | str,
        **options: Unpack[SendOptions],
    ) -> Receipt:
        """Put a message into the outbox and return its receipt.

        Raises:
            PostroomError: bad input, exactly as `Mailer.send` would refuse it.
            BrokerUnavailable: `fail_next` asked for it.
        """
        key = check_key(options.get("idempotency_key"))
        delivery = make_delivery(message, session, self._sessions, options)
        if self._next and isinstance(self._next[0], BrokerUnavailable):
            raise self._next.pop(0)  # type: ignore[misc]  # it was looked at
        if known_id := self._tracking.enter(delivery, identify(delivery, key, self._keyring)):
            return self.receipt(known_id)
        is_planned = bool(self._next)
        error = self._next.pop(0) if is_planned else None
        # Sealed and opened again, so that the outbox holds what would have travelled and not what was passed in.
        self.outbox.append(Delivery.open(delivery.seal(self._keyring), delivery.id, self._keyring))
        if delivery.id in self._tracking.due:
            self._scheduled[delivery.id] = delivery, error
        elif error is not None or not is_planned:
            self._end(delivery, error)
        return self.receipt(delivery.id)

    async def asend(
        self,
        message: EmailMessage | Mapping[str, Any],
        session: BasicEmailSessionDetails | Mapping[str, Any] | str,
        **options: Unpack[SendOptions],
    ) -> Receipt:
        """Do what `send` does."""
        return self.send(message, session, **options)

    def check(
        self,
        message: EmailMessage | Mapping[str, Any],
        session: BasicEmailSessionDetails | Mapping[str, Any] | str,
        **options: Unpack[SendOptions],
    ) -> None:
        """Refuse what `send` would refuse, and put nothing into the outbox.

        Raises:
            PostroomError: bad input, exactly as `Mailer.check` would refuse it.
        """
        check_key(options.get("idempotency_key"))
        make_delivery(message, session, self._sessions, options)

    def receipt(self, delivery_id: str) -> Receipt:
        """The receipt of a message in the outbox."""
        return Receipt(delivery_id, self._tracking, self._keyring)

    def scheduled(self) -> Iterator[tuple[Receipt, datetime]]:
        """The messages that wait for their time, the next first."""
        due = sorted(self._tracking.due.items(), key=lambda item: item[1])
        return ((self.receipt(delivery_id), due_at) for delivery_id, due_at in due)

    def send_due(self, now: datetime) -> None:
        """Let the time come for what is scheduled until then."""
        for receipt, due_at in list(self.scheduled()):
            if due_at <= now:
                delivery, error = self._scheduled.pop(receipt.id)
                is_late = delivery.expires_at is not None and delivery.expires_at <= due_at
                self._end(delivery, ExpiredException() if is_late else error)

    def close(self) -> None:
        """Do nothing: there is no connection, and the outbox stays readable."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _end(self, delivery: Delivery, error: PostroomError | None) -> None:
        outcome = self._outcome(delivery, error)
        result, _ = celery_results.end(outcome, self._keyring)
        self._tracking.end(outcome, result)

    def _outcome(self, delivery: Delivery, error: PostroomError | None) -> Outcome:
        recipients = delivery.message.recipients
        refused = {address: self._refused[address] for address in recipients if address in self._refused}
        kind: type[Outcome] = Sent
        if isinstance(error, UnknownOutcomeException):
            kind, refused = Unknown, {}
        elif isinstance(error, ExpiredException):
            kind, refused = Expired, {}
        elif error is not None:
            kind, refused = Failed, {}
        elif refused:
            kind = Failed if len(refused) == len(recipients) else Partial
            error = _refusal(next(iter(refused.values())))
        is_delivered = kind in {Sent, Partial}
        report = Report(
            message_id=delivery.message_id,
            accepted=tuple(address for address in recipients if is_delivered and address not in refused),
            refused=refused,
            attempts=0 if kind is Expired else 1,
            possible_duplicate=False,
            error=None if error is None else report_of_error(error),
        )
        return kind(delivery.id, None if error is None else error.error_code, report=report)


def _refusal(reply: Refusal) -> SmtpCommandException:
    facts = {"command": "RCPT", "smtp_code": reply.code, "enhanced_code": reply.enhanced, "text": reply.text}
    return SmtpCommandException(None, facts)
