"""The check of what moves through the broker: workers alive, their keys, leases, and mail that waits too long.

Owns the patience with each queue. It reads ids, states and times, opens nothing and changes nothing, and looks at the one
message that each queue gives out next. Called by the doctor when the server answers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from postroom_broker import keys
from postroom_broker.beats import count_beats
from postroom_broker.connection import connect, translated
from postroom_broker.ledger.record import record_key
from postroom_broker.presence import Presence, digests_of, present
from postroom_broker.transport import envelope
from postroom_broker.transport.names import LEASE_PREFIX, front_of
from postroom_contract.finding import Finding
from postroom_contract.finding_codes import FindingCode
from postroom_contract.names import QUEUE_BULK, QUEUE_NORMAL, QUEUE_URGENT

if TYPE_CHECKING:
    import redis

    from postroom_contract.sealing import Keyring

# How long the next message of a queue may have waited: a person waits for urgent mail; bulk takes its time.
PATIENCE_S = {QUEUE_URGENT: 60, QUEUE_NORMAL: 300, QUEUE_BULK: 3600}
# Workers look for what is due twice a second.
MOST_LATE_S = 10
# A worker's loop turns many times a second; from here on it loses its leases.
MOST_STANDSTILL_S = 5.0
# What a worker of ours sets; those alive tell theirs.
USUAL_LEASE_S = 20.0
# A worker takes lapsed leases back within a second or two.
REAPING_S = 3.0


@dataclass(frozen=True, slots=True)
class Here:
    """What this side has, to be compared with the workers'."""

    version: str
    keyring: Keyring | None = None
    password_keyring: Keyring | None = None
    # Whether recurring mail is configured.
    has_schedule: bool = False
    # Whether a webhook is to be told of ends.
    has_webhook: bool = False


def check_traffic(url: str, here: Here) -> list[Finding]:
    """What is found in the queues.

    Raises:
        BrokerUnavailable: Redis is away.
    """
    client = connect(url)
    try:
        with translated(client):
            seconds, microseconds = client.time()
            now_s = seconds + microseconds / 1e6
            workers = present(client, now_s)
            return [
                *check_workers(workers, here),
                *_beats(count_beats(client, now_s), here),
                *_leases(client, now_s, workers),
                *_queues(client, now_s),
                *_shelves(client, now_s),
            ]
    finally:
        client.close()


def check_workers(workers: Sequence[Presence], here: Here) -> Iterator[Finding]:
    """Whether somebody sends, and with the same keys."""
    if not workers:
        yield Finding(FindingCode.WORKERS_NONE)
        return
    yield Finding(FindingCode.WORKERS_ALIVE, "", {"count": len(workers)})
    for name, count in Counter(worker.name for worker in workers).items():
        if count > 1:
            yield Finding(FindingCode.WORKERS_OF_ONE_NAME, name, {"count": count})
    for worker in workers:
        if worker.standstill_s > MOST_STANDSTILL_S:
            yield Finding(FindingCode.WORKER_STUCK, worker.name, {"seconds": worker.standstill_s})
        if worker.version != here.version:
            versions = {"there": worker.version, "here": here.version}
            yield Finding(FindingCode.WORKER_VERSION_DIFFERS, worker.name, versions)
        if here.has_webhook and not worker.has_webhook_secret:
            yield Finding(FindingCode.WEBHOOK_SECRET_MISSING, worker.name)
    yield from _rings(workers, here)


def _beats(count: int, here: Here) -> Iterator[Finding]:
    """Whether somebody sends what recurs."""
    if count > 1:
        yield Finding(FindingCode.BEATS_SEVERAL, "", {"count": count})
    elif count:
        yield Finding(FindingCode.BEATS_ALIVE)
    elif here.has_schedule:
        yield Finding(FindingCode.BEATS_NONE)


def _rings(workers: Sequence[Presence], here: Here) -> Iterator[Finding]:
    if here.keyring is not None:
        ours = digests_of(here.keyring)
        # Not by name: two workers may have the same.
        codes = [_compare(ours, worker.key_digests) for worker in workers]
        for worker, code in zip(workers, codes, strict=True):
            if code is not FindingCode.WORKER_KEYS_EQUAL:
                ids = {"here": ", ".join(here.keyring.ids), "there": ", ".join(worker.key_ids)}
                yield Finding(code, worker.name, ids)
        if set(codes) == {FindingCode.WORKER_KEYS_EQUAL}:
            yield Finding(FindingCode.WORKER_KEYS_EQUAL)
    if here.password_keyring is not None:
        first = digests_of(here.password_keyring)[0]
        for worker in workers:
            if first not in worker.password_key_digests:
                yield Finding(FindingCode.WORKER_PASSWORD_KEYS_DIFFER, worker.name)


def _compare(here: Sequence[str], there: Sequence[str]) -> FindingCode:
    if tuple(here) == tuple(there):
        return FindingCode.WORKER_KEYS_EQUAL
    # Messages are sealed by the first key here, outcomes by the first key there.
    opens_both = here[0] in there and bool(there) and there[0] in here
    return FindingCode.WORKER_KEYS_LAG if opens_both else FindingCode.WORKER_KEYS_DIFFER


def _leases(client: redis.Redis, now_s: float, workers: Sequence[Presence]) -> Iterator[Finding]:
    """Whether what workers hold is renewed: however long a step takes, only that counts."""
    lease_s = max([worker.lease_s for worker in workers], default=USUAL_LEASE_S)
    rows: Any = client.zrange(keys.UNACKED_INDEX, 0, -1, withscores=True)
    ages = [now_s - score for row, score in rows if row.startswith(LEASE_PREFIX.encode())]
    told = {"seconds": round(max(ages, default=0), 1), "lease": lease_s}
    if lapsed := [age for age in ages if age > lease_s + REAPING_S]:
        yield Finding(FindingCode.LEASES_LAPSED, "", {**told, "count": len(lapsed)})
    elif ages:
        yield Finding(FindingCode.LEASES_RENEWED, "", {**told, "count": len(ages)})


def _queues(client: redis.Redis, now_s: float) -> Iterator[Finding]:
    waiting, is_late = 0, False
    for queue, patience_s in PATIENCE_S.items():
        count = int(client.llen(queue)) + int(client.llen(front_of(queue)))
        waiting += count
        due_s = _due_of_next(client, queue) if count else None
        if due_s is not None and now_s - due_s > patience_s:
            is_late = True
            yield Finding(FindingCode.QUEUE_OLD, queue, {"count": count, "seconds": round(now_s - due_s)})
    if not is_late:
        yield Finding(FindingCode.QUEUE_MOVES, "", {"count": waiting})


def _due_of_next(client: redis.Redis, queue: str) -> float | None:
    """Since when the next message of a queue could have been sent, if its record tells."""
    raw: Any = client.lindex(front_of(queue), -1) or client.lindex(queue, -1)
    try:
        headers = envelope.read(raw or b"").get("headers")
    except envelope.UnreadableMessage:
        return None
    if not isinstance(headers, dict):
        return None
    due: Any = client.hget(record_key(str(headers.get("id"))), "due")
    return None if due is None else float(due)


def _shelves(client: redis.Redis, now_s: float) -> Iterator[Finding]:
    late = int(client.zcount(keys.DELAYED, "-inf", now_s - MOST_LATE_S))
    if late:
        first: Any = client.zrange(keys.DELAYED, 0, 0, withscores=True)
        first_s = min((due_s for _, due_s in first), default=now_s)
        yield Finding(FindingCode.SCHEDULE_LATE, "", {"count": late, "seconds": round(now_s - first_s)})
    if dead := int(client.llen(keys.DEAD)):
        yield Finding(FindingCode.DEAD_LETTERS, "", {"count": dead})
    if held := int(client.zcard(keys.HELD)):
        yield Finding(FindingCode.HELD_MESSAGES, "", {"count": held})
