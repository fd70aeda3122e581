"""Which Redis keys may stay behind without an expiry, and a check for all others.

A key that never expires is a slow leak: nobody notices it until a server is full. `conftest` runs this check after every
test that used Redis; a new kind of permanent key has to be named here, with the reason why it may stay.
"""

import fnmatch

from tests.support.valkey import connect

# What TTL answers for a key that exists and never expires (the Redis command reference).
NEVER_EXPIRES = -1

# Pattern (shell style) of each key that may live for ever, and why.
MAY_STAY: dict[str, str] = {
    "postroom.*": "queues, delayed and held messages, dead letters: gone when they are empty",
    "unacked": "messages that a worker holds, by delivery tag (a stock name)",
    "unacked_index": "since when it holds them (a stock name)",
    "_kombu.binding.*": "stock Redis transport: which queue hangs on which exchange; one small set for each",
    "_kombu.binding_permanent.*": "stock Redis transport: those of them that no deadline ends; as small",
    "_kombu.binding_deadlines": "stock Redis transport: when the other ones end",
}

# What has a name like these and must expire all the same: one for each delivery, and what workers and beats tell while they live.
MUST_EXPIRE = ("postroom.delivery.*", "postroom.idempotency.*", "postroom.workers", "postroom.beats*")


def may_stay(name: str) -> bool:
    """Whether a key of this name may live for ever."""
    if any(fnmatch.fnmatchcase(name, pattern) for pattern in MUST_EXPIRE):
        return False
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in MAY_STAY)


def find_leaked_keys(url: str) -> list[str]:
    """Return the names of all keys at `url` that never expire and are not listed in `MAY_STAY`."""
    with connect(url) as client:
        names = sorted(key.decode(errors="backslashreplace") for key in client.scan_iter(count=1000))
        return [name for name in names if not may_stay(name) and client.ttl(name) == NEVER_EXPIRES]
