"""That a worker lives, and what it tells of itself: in Redis for as long as it goes on telling it.

Owns the form of it and the one key it stands under, which expires. Workers write it every few seconds; `checkup` reads it
for `postroom doctor`. It holds no more of a machine than Celery shows already, and of keys only their ids and keyed digests.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Self

from postroom_broker import keys
from postroom_broker.connection import translated
from postroom_broker.script import Script

if TYPE_CHECKING:
    import redis

    from postroom_contract.sealing import Keyring

# How often a worker tells it.
SHOW_EVERY_S = 3.0
# Three times may be missed, in a pause of Redis or of the worker's machine.
PRESENCE_EXPIRY_S = 12

_SHOW = Script("postroom_broker", "show")

# What the digests are made of: any text does, as long as all make it of the same.
_DIGESTED = "key ring"
_USE = "presence"


@dataclass(frozen=True, slots=True)
class Presence:
    """What one worker tells."""

    # As Celery shows it.
    name: str
    version: str
    concurrency: int
    # For how long its messages stay with it when nothing is heard of it.
    lease_s: float
    key_ids: tuple[str, ...]
    key_digests: tuple[str, ...] = field(repr=False)
    password_key_digests: tuple[str, ...] = field(repr=False)
    # Whether it can sign what it tells webhooks. Of an older worker nobody knows, and nothing is held against it.
    has_webhook_secret: bool = True
    # Since when the loop that sends its mail has stood still; near zero in a healthy worker.
    standstill_s: float = 0.0
    # How long ago it told this, by the server's clock.
    age_s: float = 0.0

    def standing_still_for(self, standstill_s: float) -> Self:
        """The same, a while later."""
        return replace(self, standstill_s=round(standstill_s, 1))

    @classmethod
    def read(cls, entry: bytes, now_s: float) -> Self | None:
        """An entry as it lies in Redis; None for what no worker of ours has written."""
        at, _, text = entry.decode(errors="replace").partition(" ")
        try:
            told: Any = json.loads(text)
            lists = {name: tuple(told.pop(name)) for name in _LISTS}
            # A newer worker may tell more.
            known = {each.name: told[each.name] for each in fields(cls) if each.name in told}
            return cls(**{**known, **lists, "age_s": max(0.0, now_s - float(at))})
        except (ValueError, TypeError, KeyError, AttributeError):
            return None


_LISTS = ("key_ids", "key_digests", "password_key_digests")


def digests_of(keyring: Keyring) -> tuple[str, ...]:
    """By what two rings are compared without either being shown, the sealing key's digest first."""
    return keyring.digests(_DIGESTED, _USE)


def show(client: redis.Redis, worker: str, presence: Presence) -> None:
    """Tell that a worker lives; `worker` is a name of its own, which no other has.

    Raises:
        BrokerUnavailable: Redis is away.
    """
    told = asdict(presence)
    del told["age_s"]
    with translated(client):
        _SHOW(client, [keys.WORKERS], [worker, json.dumps(told), PRESENCE_EXPIRY_S])


def withdraw(client: redis.Redis, worker: str) -> None:
    """Tell that it is gone.

    Raises:
        BrokerUnavailable: Redis is away; it is forgotten soon.
    """
    with translated(client):
        client.hdel(keys.WORKERS, worker)


def present(client: redis.Redis, now_s: float) -> list[Presence]:
    """The workers that live, by name.

    Args:
        client: the broker.
        now_s: the server's time.

    Raises:
        BrokerUnavailable: Redis is away.
    """
    with translated(client):
        told: Any = client.hgetall(keys.WORKERS)
    found = [presence for entry in told.values() if (presence := Presence.read(entry, now_s)) is not None]
    return sorted((here for here in found if here.age_s <= PRESENCE_EXPIRY_S), key=lambda here: here.name)
