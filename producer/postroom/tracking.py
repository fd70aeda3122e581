"""Where a delivery is, from the two places that know: the ledger, and Celery's result records.

Owns their pairing behind one interface, which the receipt reads through and which the test double stands in for. What the
records mean to a caller is the receipt's business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from postroom_broker.ledger.orders import Answer
from postroom_broker.results import REVOKED, read_result
from postroom_contract.outcome import State

if TYPE_CHECKING:
    from datetime import datetime

    from postroom_broker.ledger.orders import Orders
    from postroom_broker.ledger.record import Record
    from postroom_broker.results import Results, StoredResult


class AnyTracking(Protocol):
    """What a receipt asks: of Redis (`Tracking`), or of the memory of the test double."""

    def record(self, delivery_id: str) -> Record | None:
        """The ledger's record of a delivery, or None where there is no trace of it."""

    def read(self, delivery_id: str) -> StoredResult | None:
        """Celery's record of it, or None where there is none (yet)."""

    def wait(self, delivery_id: str, timeout_s: float | None) -> StoredResult | None:
        """The final record of a delivery, or whatever is there when the time is over or waiting has become pointless."""

    def call_back(
        self, delivery_id: str, state: State, result: str, progress: str | None, code: int | None = None
    ) -> Answer:
        """End a delivery that nobody is about to send."""

    def reschedule(self, delivery_id: str, due_at: datetime) -> bool:
        """Move a delivery that waits for its time."""

    def release(self, delivery_id: str) -> bool:
        """Let a held delivery go on."""


class Tracking:
    """Deliveries in Redis."""

    def __init__(self, orders: Orders, results: Results, *, is_apart: bool = False) -> None:
        """Pair the two; `is_apart` where results are on a server of their own, which the ledger's scripts do not reach."""
        self._orders = orders
        self._results = results
        self._is_apart = is_apart
        self.record = orders.read
        self.reschedule = orders.reschedule
        self.release = orders.release

    def read(self, delivery_id: str) -> StoredResult | None:
        """Celery's record of it, or None where there is none (yet)."""
        stored = self._results.read(delivery_id)
        return None if stored is None or self._is_hearsay(delivery_id, stored) else stored

    def call_back(
        self, delivery_id: str, state: State, result: str, progress: str | None, code: int | None = None
    ) -> Answer:
        """End a delivery that nobody is about to send, and tell so where its result is looked for."""
        answer = self._orders.call_back(delivery_id, state, result, progress, code)
        if answer is Answer.ENDED and self._is_apart:
            self._results.store(delivery_id, result)
        return answer

    def wait(self, delivery_id: str, timeout_s: float | None) -> StoredResult | None:
        """The final record of a delivery, or whatever is there when the time is over or waiting has become pointless.

        It is where an operator has to decide, and where there is no trace: of what left none, none will appear.
        """

        def is_settled() -> bool:
            record = self.record(delivery_id)
            if record is None:
                return self.read(delivery_id) is None
            # The ledger remembers some ends for longer than their results are kept: there will be none any more.
            is_forgotten = record.is_ended and self._results.read(delivery_id) is None
            return record.state is State.HELD or record.result is not None or is_forgotten

        def is_end(stored: StoredResult) -> bool:
            return stored.is_final and not self._is_hearsay(delivery_id, stored)

        stored = self._results.wait(delivery_id, timeout_s, is_settled, is_end)
        if stored is None or not is_end(stored):
            record = self.record(delivery_id)
            # Where results are kept elsewhere, the ledger has this one until somebody has stored it there.
            if record is not None and record.result is not None:
                return read_result(record.result)
            return None if stored is not None and stored.is_final else stored
        return stored

    def _is_hearsay(self, delivery_id: str, stored: StoredResult) -> bool:
        """Whether Celery calls a delivery revoked of which the ledger knows that it was begun: its worker tells the end."""
        if stored.status != REVOKED:
            return False
        record = self.record(delivery_id)
        return record is not None and not record.is_ended and record.state is not State.QUEUED
