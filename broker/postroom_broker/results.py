"""Reading back what Celery stored about a delivery, and waiting for it.

Owns the names and the form of Celery's result records, the waiting by subscription for a final one, or for the ledger to say
that there will be none until an operator decides, and the storing of one where the ledger cannot. It hands out records as
they are; what is sealed in them is opened, and what they mean is told, by the contract's outcomes.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from postroom_broker.connection import translated
from postroom_broker.ledger.record import ENDED_EXPIRY_S
from postroom_contract.errors import BrokerUnavailable
from postroom_contract.names import RESULT_KEY

if TYPE_CHECKING:
    from collections.abc import Callable

    import redis

# Celery's states after which a record does not change any more.
REVOKED = "REVOKED"
FINAL = frozenset({"SUCCESS", "FAILURE", REVOKED})
# How long one wait for news lasts before the record itself is looked at again: a message on a Redis channel can be
# missed when the connection breaks, the record cannot.
LISTEN_S = 1.0


@dataclass(frozen=True, slots=True)
class StoredResult:
    """Celery's record of one task: its status word and what it returned or raised."""

    status: str
    value: Any

    @property
    def is_final(self) -> bool:
        """Whether the record will not change any more."""
        return self.status in FINAL


def read_result(text: str) -> StoredResult:
    """A record as Celery stores it."""
    record = json.loads(text)
    return StoredResult(record["status"], record["result"])


class Results:
    """The result records of one Redis."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def read(self, delivery_id: str) -> StoredResult | None:
        """The record of a delivery, or None where there is no trace of it."""
        with translated(self._client):
            stored = self._client.get(RESULT_KEY.format(id=delivery_id))
        if stored is None:
            return None
        return read_result(str(stored, "utf-8") if isinstance(stored, bytes) else str(stored))

    def store(self, delivery_id: str, result: str) -> None:
        """Put a record in the place of what is there, as Celery would; who waits for it is told."""
        key = RESULT_KEY.format(id=delivery_id)
        with translated(self._client), self._client.pipeline(transaction=True) as transaction:
            transaction.set(key, result, ex=ENDED_EXPIRY_S)
            transaction.publish(key, result)
            transaction.execute()

    def wait(
        self,
        delivery_id: str,
        timeout_s: float | None,
        is_pointless: Callable[[], bool] = lambda: False,
        is_end: Callable[[StoredResult], bool] = lambda result: result.is_final,
    ) -> StoredResult | None:
        """The final record of a delivery, or whatever is there when the time is over, or waiting has become pointless."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        result = self.read(delivery_id)
        if (result and is_end(result)) or timeout_s == 0:
            return result
        while True:
            try:
                return self._listen(delivery_id, deadline, is_pointless, is_end)
            except BrokerUnavailable:
                self._check_presence(delivery_id)

    def _check_presence(self, delivery_id: str) -> None:
        """Return if Redis answers on a new connection: a blip of the network breaks all of them at once.

        Raises:
            BrokerUnavailable: it is away. The first new connection may be caught by a second blip, so two are tried.
        """
        for is_last in (False, True):
            self._client.connection_pool.disconnect(inuse_connections=False)
            try:
                self.read(delivery_id)
            except BrokerUnavailable:
                if is_last:
                    raise
            else:
                return

    def _listen(
        self,
        delivery_id: str,
        deadline: float | None,
        is_pointless: Callable[[], bool],
        is_end: Callable[[StoredResult], bool],
    ) -> StoredResult | None:
        with self._client.pubsub(ignore_subscribe_messages=True) as news:  # type: ignore[no-untyped-call]
            with translated(self._client):
                news.subscribe(RESULT_KEY.format(id=delivery_id))
            while True:
                result = self.read(delivery_id)
                left_s = LISTEN_S if deadline is None else deadline - time.monotonic()
                if (result and is_end(result)) or left_s <= 0 or is_pointless():
                    return result
                with translated(self._client):
                    news.get_message(timeout=min(left_s, LISTEN_S))
