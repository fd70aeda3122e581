"""The list of dead letters, as an operator works with it: look through it, put entries back into their queues, drop them.

Owns how entries are named and found, and that each is taken out once, whoever else tries. Why messages die is told by
`death_reasons`, and how they are kept by `transport.envelope`. `postroom dead` calls it, with no keys: all stays sealed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any, Self

import redis

from postroom_broker import celery_results, keys
from postroom_broker.connection import translated
from postroom_broker.ledger.record import ENDED_EXPIRY_S, OPEN_EXPIRY_S, record_key
from postroom_broker.ledger.scripts import LEAVE_DEAD
from postroom_broker.script import Argument
from postroom_broker.transport import envelope
from postroom_contract.error_codes import ErrorCode
from postroom_contract.errors import CancelledException, PostroomError, UnknownOutcomeException
from postroom_contract.names import QUEUE_NEWS, RESULT_KEY, TASK_TELL

# How many entries one call reads: they pass through this process, and one may hold megabytes of attachments.
PAGE = 32

# 64 bits: among a million entries the odds that two share a handle are one in thirty million.
_HANDLE_LENGTH = 16


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One entry: what is known of it in the clear, and the entry itself."""

    # Names any entry, readable or not, for as long as it lies there. Entries that are the same to the byte share it.
    handle: str
    # Of the delivery: whose message it is, or whose end it tells.
    delivery_id: str | None
    # Of the task, by which Redis knows what it may write beside it: of a delivery's message, the same.
    task_id: str | None
    reason: str | None
    queue: str | None
    deliveries: int | None
    died_at: str | None
    # Of the message, in bytes.
    size: int
    task: str | None
    retries: int | None
    # What it goes back into its queue as; None for what would be dead again at once, or came from nobody knows where.
    revived: str | None = field(repr=False)
    entry: bytes = field(repr=False)

    @classmethod
    def read(cls, entry: bytes) -> Self:
        """An entry as it lies in the list, whatever it is."""
        kept = envelope.read_dead(entry)
        try:
            raw = kept.text.encode(errors="surrogateescape")
            headers = envelope.read(raw).get("headers")
            revived = envelope.revived(raw) if kept.queue else None
        except (envelope.UnreadableMessage, UnicodeEncodeError):
            headers, revived = None, None
        told: dict[str, Any] = headers if isinstance(headers, dict) else {}
        return cls(
            handle=hashlib.sha256(entry).hexdigest()[:_HANDLE_LENGTH],
            delivery_id=_as(str, told.get("root_id" if told.get("task") == TASK_TELL else "id")),
            task_id=_as(str, told.get("id")),
            reason=kept.reason,
            queue=kept.queue,
            deliveries=kept.deliveries,
            died_at=kept.died_at,
            # Of a byte that is no UTF-8, one character is left, and counted as one.
            size=len(kept.text.encode(errors="replace")),
            task=_as(str, told.get("task")),
            retries=_as(int, told.get("retries")),
            revived=revived,
            entry=entry,
        )

    @property
    def can_be_requeued(self) -> bool:
        """Whether a worker could do anything with it."""
        return self.revived is not None


class DeadLetters:
    """The dead letters of one broker."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def count(self) -> int:
        """How many there are."""
        with translated(self._client):
            return int(self._client.llen(keys.DEAD))

    def scan(self) -> Iterator[DeadLetter]:
        """All that are there now, the newest first; none is left out, also while others take some out.

        An entry may come twice then. It ends, however fast others die.
        """
        # From the end, because what is taken out of a list moves only what stands behind it: towards pages not yet read.
        end = self.count()
        while end > 0:
            start = max(0, end - PAGE)
            with translated(self._client):
                page: Any = self._client.lrange(keys.DEAD, start, end - 1)
            yield from map(DeadLetter.read, reversed(page))
            end = start

    def find(self, names: Collection[str]) -> dict[str, list[DeadLetter]]:
        """For each name the entries that have it, as their delivery's id or as their handle, the newest first."""
        found: dict[str, dict[str, DeadLetter]] = {name: {} for name in names}
        for letter in self.scan():
            for name in {letter.delivery_id, letter.handle} & found.keys():
                if name is not None:
                    found[name][letter.handle] = letter
        return {name: list(letters.values()) for name, letters in found.items()}

    def requeue(self, letter: DeadLetter) -> bool:
        """Put the message back, behind all that waits in its queue.

        Returns:
            Whether it was done; False: somebody else has taken the entry out.

        Raises:
            UnreadableMessage: it would be dead again at once.
        """
        if not letter.queue or letter.revived is None:
            raise envelope.UnreadableMessage("no message that could be delivered again")
        return self._take_out(letter, letter.queue, letter.revived)

    def drop(self, letter: DeadLetter) -> bool:
        """Remove the entry for good; its delivery ends as cancelled, or as unknown where somebody may have got the mail.

        Returns:
            Whether it was done; False: somebody else has taken the entry out.
        """
        return self._take_out(letter)

    def _take_out(self, letter: DeadLetter, queue: str | None = None, message: str = "") -> bool:
        names = [keys.DEAD, QUEUE_NEWS]
        if letter.task_id is not None:
            names += [record_key(letter.task_id), RESULT_KEY.format(id=letter.task_id)]
        if queue is not None:
            names.append(queue)
        results = [_dropped(letter.task_id or "", error) for error in (CancelledException, UnknownOutcomeException)]
        codes = letter.task_id or "", int(ErrorCode.CANCELLED), int(ErrorCode.UNKNOWN_OUTCOME)
        with translated(self._client):
            told: list[Argument] = [letter.entry, message, *results, OPEN_EXPIRY_S, ENDED_EXPIRY_S, *codes]
            return bool(LEAVE_DEAD(self._client, names, told))


def _dropped(delivery_id: str, kind: type[PostroomError]) -> str:
    """Celery's record of a delivery whose message an operator has dropped: without keys nothing more can be told."""
    return celery_results.failure(delivery_id, kind(None, {"reason": "dropped"}))


def _as(kind: type[Any], value: Any) -> Any:
    """What a foreign message says, if it is of the kind that is expected there."""
    return value if isinstance(value, kind) else None
