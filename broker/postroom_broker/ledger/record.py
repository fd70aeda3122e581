"""The record of one delivery: its key, its fields, and how long it is kept.

Owns what stands in the hash `postroom.delivery.<id>`. The scripts in `lua` read and write the fields by the names given
here; `orders` and `claims` call them. Every record expires: an open one long after anybody could still send it, an ended one
when its outcome may be forgotten.

    state        where the delivery is, as the contract names it; "scheduled" also once it is in its queue
    fingerprint  keyed hash of what was asked for
    due          since when (s since 1970, by the server) it may be sent, or from when on: its next attempt, if it is retried
    key          the name of the idempotency key it was sent with, so that the key can live as long as a later time asks
    fence        the lease of the worker that is at work on it, or was last
    committed    the lease of the worker that let the last octets leave and has not told yet what came of it
    progress     sealed: what is known of the recipients; while committed, as it is if nothing more is heard
    settled_by   the lease under which a retry or a hold was written down, so that telling it twice does no harm
    ended        for how long (s) the record is kept after its end; its presence says that nothing is sent any more
    ended_by     the lease of the worker that told the end, or "sender", or "operator"
    result       Celery's result, where another server is (or was) to store it
    on_outcome   sealed: who is told of its end, for those who end it without opening its message; gone with the end
    code, reason the last error in public words, of a delivery that is retried or held
"""

from __future__ import annotations

from dataclasses import dataclass

from postroom_contract.names import DELIVERY_KEY
from postroom_contract.outcome import OUTCOMES, State

# An open record outlives its message: a worker that comes back after holidays must still find that it was called back.
OPEN_EXPIRY_S = 30 * 24 * 3600
# A day to fetch the outcome, as the README promises, and to find that a message given out again has been sent.
ENDED_EXPIRY_S = 24 * 3600


def record_key(delivery_id: str) -> str:
    """Where the record of a delivery is."""
    return DELIVERY_KEY.format(id=delivery_id)


@dataclass(frozen=True, slots=True)
class Record:
    """What can be read of a delivery without keys, and its sealed progress."""

    state: State
    progress: str | None = None
    code: int | None = None
    reason: str | None = None
    # Celery's result, where the ledger has it: still to be stored elsewhere, or told by an operator's command.
    result: str | None = None

    @property
    def is_ended(self) -> bool:
        """Whether the delivery is over for good."""
        return self.state in OUTCOMES
