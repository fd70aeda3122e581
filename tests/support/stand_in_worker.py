"""A worker without SMTP: takes messages off the queues with kombu and stores results through Celery's own backend.

For tests of the producer, which are to see real messages and real result records but no mail. What it does with a
message is the test's business.
"""

from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from celery import Celery
from kombu import Connection, Consumer, Queue
from kombu.message import Message

from postroom_contract.delivery import Delivery
from postroom_contract.names import QUEUES
from postroom_contract.outcome import Failed, Outcome, Report, Sent, Unknown
from postroom_contract.sealing import Keyring

TAKE_TIMEOUT_S = 10.0


class StandInWorker:
    """Works off one message at a time, when it is told to."""

    def __init__(self, url: str, keyring: Keyring) -> None:
        """Prepare a worker.

        Args:
            url: Redis, for queues and results.
            keyring: what opens the payloads.
        """
        self._keyring = keyring
        self._app = Celery("stand-in", broker=url, backend=url, set_as_current=False)
        self._connection = Connection(url)

    def take(self) -> Delivery:
        """Take one message, acknowledge it, and open it."""
        got: list[Message] = []
        queues = [Queue(name) for name in QUEUES]
        with Consumer(self._connection, queues, callbacks=[lambda _, message: got.append(message)], accept=["json"]):
            self._connection.drain_events(timeout=TAKE_TIMEOUT_S)
        got[0].ack()
        arguments, _, _ = got[0].decode()
        return Delivery.open(arguments[0], got[0].headers["id"], self._keyring)

    def store(self, outcome: Outcome) -> None:
        """Store an outcome: a failed or unknown one as the exception that a task would have raised."""
        outcome.seal(self._keyring)
        error = outcome.sealed_error(self._keyring) if isinstance(outcome, (Failed, Unknown)) else None
        if error is None:
            self._app.backend.store_result(outcome.id, outcome, "SUCCESS")
        else:
            self._app.backend.mark_as_failure(outcome.id, error)

    def work(self, end: Callable[[Delivery], Outcome] | None = None) -> Delivery:
        """Take one message and store what `end` makes of it; by default it is sent to everybody."""
        delivery = self.take()
        self.store((end or sent)(delivery))
        return delivery

    def close(self) -> None:
        """Close the connections."""
        self._connection.close()
        backend: Any = self._app.backend
        backend.client.close()
        self._app.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def sent(delivery: Delivery) -> Outcome:
    """Everybody got it."""
    report = Report(message_id=delivery.message_id, accepted=delivery.message.recipients, attempts=1)
    return Sent(delivery.id, report=report)
