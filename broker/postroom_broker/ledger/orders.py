"""What an application, or an operator, asks of the ledger: take a delivery in, tell where it is, call it back, move it.

Owns the producer's calls, each of them one script or transaction. What the answers mean to a caller is the receipt's
business; the scripts are documented in their own headers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from postroom_broker import keys
from postroom_broker.connection import translated
from postroom_broker.ledger.record import ENDED_EXPIRY_S, OPEN_EXPIRY_S, Record, record_key
from postroom_broker.ledger.scripts import CALL_BACK, ENTER, RELEASE, RESCHEDULE
from postroom_broker.script import Argument
from postroom_broker.task_message import SealedDelivery, task_message
from postroom_contract.error_codes import ErrorCode
from postroom_contract.errors import IdempotencyException, PropertyValueOutOfRangeException
from postroom_contract.names import IDEMPOTENCY_KEY, QUEUE_NEWS, RESULT_KEY
from postroom_contract.outcome import State

if TYPE_CHECKING:
    import redis

# How long an idempotency key is remembered after its delivery is due, as the providers that have them do it (Resend: a day).
KEY_EXPIRY_S = 24 * 3600
# How many ids one page of a listing fetches.
PAGE = 500


@dataclass(frozen=True, slots=True, repr=False)
class Identity:
    """By what a delivery is known again: hashes by each key of the ring, the sealing key's first."""

    fingerprints: Sequence[str]
    idempotency: Sequence[str] = ()


class Answer(StrEnum):
    """What became of the wish to call a delivery back."""

    ENDED = "ended"  # by this call: nothing is sent any more
    OVER = "over"  # it had ended before: the record tells how
    CHANGED = "changed"  # the wish was made on old knowledge: look again
    COMMITTED = "committed"  # too late: its last octets are leaving
    NOT_FOUND = "not_found"


# Where a row stands in a sorted set: its score, then its name.
_Place = tuple[float, bytes]


class Orders:
    """The ledger as a producer uses it."""

    def __init__(self, broker: redis.Redis, *, has_results: bool) -> None:
        """Use a broker; `has_results` where outcomes are kept there too."""
        self._broker = broker
        self._has_results = has_results

    def enter(
        self,
        delivery: SealedDelivery,
        identity: Identity,
        due_at: datetime | None = None,
        expires_at: datetime | None = None,
    ) -> str:
        """Take a delivery in, at once or until it is due, and return its id, or that of the same one taken in before.

        Raises:
            IdempotencyException: the idempotency key, or the id, belongs to another delivery; nothing was queued.
            PropertyValueOutOfRangeException: its time is over already, by the server's clock; nothing was queued.
            BrokerUnavailable: Redis is away; `maybe_enqueued` says whether the command had left.
        """
        with translated(self._broker, receipt_id=delivery.id):
            # A live connection first, so that only what is lost after this line counts as perhaps enqueued.
            self._broker.connection_pool.release(self._broker.connection_pool.get_connection())
        wait_s = 0 if due_at is None else max(0, int((due_at - datetime.now(UTC)).total_seconds()))
        names = [record_key(delivery.id), delivery.queue, keys.DELAYED, keys.DELAYED_MESSAGES]
        names += [IDEMPOTENCY_KEY.format(digest=digest) for digest in identity.idempotency]
        told: list[Argument] = [delivery.id, task_message(delivery), _seconds(due_at)]
        told += [OPEN_EXPIRY_S + wait_s, KEY_EXPIRY_S + wait_s, _seconds(expires_at), delivery.destination]
        with translated(self._broker, maybe_enqueued=True, receipt_id=delivery.id):
            answer, known_id = ENTER(self._broker, names, [*told, *identity.fingerprints])
        if answer == b"conflict":
            raise IdempotencyException(ErrorCode.KEY_REUSED, {"receipt_id": known_id.decode()})
        if answer == b"expired":
            raise over_already()
        return str(known_id.decode())

    def read(self, delivery_id: str) -> Record | None:
        """The record of a delivery, or None where there is none (any more)."""
        with translated(self._broker):
            asking = self._broker.pipeline(transaction=False)
            asking.hmget(record_key(delivery_id), ["state", "progress", "code", "reason", "result"])
            asking.zscore(keys.DELAYED, delivery_id)
            (state, progress, code, reason, result), due_at = asking.execute()
        if state is None:
            return None
        told = State(state.decode())
        if told is State.SCHEDULED and due_at is None:
            told = State.QUEUED  # its time has come
        return Record(told, _text(progress), int(code) if code else None, _text(reason), _text(result))

    def call_back(
        self, delivery_id: str, state: State, result: str, progress: str | None, code: int | None = None
    ) -> Answer:
        """End a delivery that nobody is about to send.

        Args:
            delivery_id: which delivery.
            state: its state from now on.
            result: Celery's result that tells it.
            progress: what the record said when both were made.
            code: of its error, for those who are told of its end.
        """
        waiting = [keys.DELAYED, keys.DELAYED_MESSAGES, keys.HELD, QUEUE_NEWS]
        names = [record_key(delivery_id), RESULT_KEY.format(id=delivery_id), *waiting]
        where = "here" if self._has_results else "record"
        told: list[Argument] = [delivery_id, state, result, where, OPEN_EXPIRY_S, ENDED_EXPIRY_S, progress or ""]
        told.append("" if code is None else int(code))
        with translated(self._broker):
            answer, _ = CALL_BACK(self._broker, names, told)
        return Answer(answer.decode())

    def reschedule(self, delivery_id: str, due_at: datetime) -> bool:
        """Move a delivery that waits for its time; false when it does not wait any more."""
        wait_s = max(0, int((due_at - datetime.now(UTC)).total_seconds()))
        told: list[Argument] = [delivery_id, _seconds(due_at), OPEN_EXPIRY_S + wait_s, KEY_EXPIRY_S + wait_s]
        with translated(self._broker):
            return bool(RESCHEDULE(self._broker, [record_key(delivery_id), keys.DELAYED], told))

    def release(self, delivery_id: str) -> bool:
        """Let a held delivery go on; false when it is not held."""
        names = [record_key(delivery_id), keys.HELD, keys.DELAYED]
        with translated(self._broker):
            return bool(RELEASE(self._broker, names, [delivery_id, OPEN_EXPIRY_S]))

    def scheduled(self) -> Iterator[tuple[str, datetime]]:
        """The deliveries that wait for their time, the next first; retries among them are left out."""
        for delivery_id, due_at, state in self._waiting(keys.DELAYED):
            if state == State.SCHEDULED.value:
                yield delivery_id, due_at

    def held(self) -> Iterator[tuple[str, datetime]]:
        """The deliveries that wait for an operator's word, and since when."""
        for delivery_id, held_at, _ in self._waiting(keys.HELD):
            yield delivery_id, held_at

    def _waiting(self, key: str) -> Iterator[tuple[str, datetime, str]]:
        place: _Place | None = None
        # Each is told once, also when whoever reads moves it behind the others.
        told: set[bytes] = set()
        while True:
            with translated(self._broker):
                rows = self._page_behind(place, key)
                asking = self._broker.pipeline(transaction=False)
                for _, row in rows:
                    asking.hget(record_key(row.decode()), "state")
                states = asking.execute()
            for (score, row), state in zip(rows, states, strict=True):
                if row not in told:
                    told.add(row)
                    yield row.decode(), datetime.fromtimestamp(score, UTC), (state or b"").decode()
            if not rows:
                return
            place = rows[-1]

    def _page_behind(self, place: _Place | None, key: str) -> list[_Place]:
        """The next rows after a place, which may be gone by now: whoever reads may take out what was read."""
        start = 0
        if place is not None:
            score, row = place
            is_there = self._broker.zscore(key, row) == score
            # Where it is gone, reading begins again with the first of its time.
            rank: Any = self._broker.zrank(key, row) if is_there else None
            start = self._broker.zcount(key, "-inf", f"({score!r}") if rank is None else rank + 1
        while True:
            rows: Any = self._broker.zrange(key, start, start + PAGE - 1, withscores=True)
            # Redis sorts what is due at the same time by the octets of its name, as Python does.
            news = [(score, row) for row, score in rows if place is None or (score, row) > place]
            if news or len(rows) < PAGE:
                return news
            start += PAGE


def over_already() -> PropertyValueOutOfRangeException:
    """The refusal of a delivery that could only expire."""
    facts = {"property": "ExpiresAt", "detail": "It lies in the past."}
    return PropertyValueOutOfRangeException(ErrorCode.OUT_OF_RANGE, facts)


def _seconds(at: datetime | None) -> str:
    # To the microsecond, as datetimes have it: what is rounded down would be due too early.
    return "" if at is None else f"{at.timestamp():.6f}"


def _text(value: bytes | None) -> str | None:
    return value.decode() if value else None
