"""Where deliveries are, in memory: what stands in for the ledger and the result records behind the test double.

Owns the double of `postroom.tracking.Tracking`: the same answers to the same questions, told by the outbox instead of by a
worker. It never waits.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from postroom_broker.ledger.orders import Answer, Identity, over_already
from postroom_broker.ledger.record import Record
from postroom_broker.results import StoredResult, read_result
from postroom_contract.delivery import Delivery
from postroom_contract.error_codes import ErrorCode
from postroom_contract.errors import IdempotencyException
from postroom_contract.outcome import Outcome, State


class MemoryTracking:
    """Records by delivery id."""

    def __init__(self) -> None:
        self.due: dict[str, datetime] = {}
        self._records: dict[str, Record] = {}
        self._results: dict[str, StoredResult] = {}
        self._fingerprints: dict[str, str] = {}
        self._ids_by_key: dict[str, str] = {}

    def enter(self, delivery: Delivery, identity: Identity) -> str | None:
        """Take a delivery in; return the id of the same one taken in before, or None.

        Raises:
            IdempotencyException: the key, or the id, belongs to another delivery.
            PropertyValueOutOfRangeException: its time is over already.
        """
        delivery_id, now = delivery.id, datetime.now(UTC)
        known_id = next((self._ids_by_key[key] for key in identity.idempotency if key in self._ids_by_key), None)
        if known_id is None and delivery_id in self._records:
            known_id = delivery_id
        if known_id is not None:
            if self._fingerprints[known_id] not in identity.fingerprints:
                raise IdempotencyException(ErrorCode.KEY_REUSED, {"receipt_id": known_id})
            return known_id
        if delivery.expires_at is not None and delivery.expires_at <= now:
            raise over_already()
        waits = delivery.send_at is not None and delivery.send_at > now
        self._records[delivery_id] = Record(State.SCHEDULED if waits else State.QUEUED)
        self._fingerprints[delivery_id] = identity.fingerprints[0]
        self._ids_by_key.update(dict.fromkeys(identity.idempotency, delivery_id))
        if waits and delivery.send_at is not None:
            self.due[delivery_id] = delivery.send_at
        return None

    def end(self, outcome: Outcome, result: str) -> None:
        """Note what became of a delivery, as a worker does."""
        self.due.pop(outcome.id, None)
        self._records[outcome.id] = Record(outcome.state)
        self._results[outcome.id] = read_result(result)

    def record(self, delivery_id: str) -> Record | None:
        """The ledger's record."""
        return self._records.get(delivery_id)

    def read(self, delivery_id: str) -> StoredResult | None:
        """Celery's record."""
        return self._results.get(delivery_id)

    def wait(self, delivery_id: str, timeout_s: float | None) -> StoredResult | None:  # noqa: ARG002 -- it never waits
        """Celery's record as it is now."""
        return self.read(delivery_id)

    def call_back(
        self,
        delivery_id: str,
        state: State,
        result: str,
        progress: str | None,  # noqa: ARG002 -- nothing changes meanwhile
        code: int | None = None,  # noqa: ARG002 -- nobody is told
    ) -> Answer:
        """End a delivery that was not decided yet."""
        record = self._records.get(delivery_id)
        if record is None:
            return Answer.NOT_FOUND
        if record.is_ended:
            return Answer.OVER
        self.due.pop(delivery_id, None)
        self._records[delivery_id] = replace(record, state=state)
        self._results[delivery_id] = read_result(result)
        return Answer.ENDED

    def reschedule(self, delivery_id: str, due_at: datetime) -> bool:
        """Move a delivery that waits for its time."""
        if delivery_id in self.due:
            self.due[delivery_id] = due_at
        return delivery_id in self.due

    def release(self, delivery_id: str) -> bool:  # noqa: ARG002 -- as in the ledger
        """Do nothing: the double holds nothing for an operator."""
        return False
