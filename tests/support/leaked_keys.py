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
    "postroom.urgent*": "a queue and its front: gone when it is empty",
    "postroom.normal*": "(the same)",
    "postroom.bulk*": "(the same)",
    "postroom.pool-test*": "(the same, of the pool's own tests)",
    "postroom.bench*": "(the same, of the benches)",
    "postroom.delayed": "what waits for its time: as long as it must",
    "postroom.delayed.messages": "(the messages of these, and of those that are held)",
    "postroom.held": "what waits for an operator's word",
    "postroom.dead": "dead letters: an operator decides about them",
    "unacked": "messages that a worker holds, by delivery tag (a stock name)",
    "unacked_index": "since when it holds them (a stock name)",
    "_kombu.binding.*": "stock Redis transport: which queue hangs on which exchange; one small set for each",
    "_kombu.binding_permanent.*": "stock Redis transport: those of them that no deadline ends; as small",
    "_kombu.binding_deadlines": "stock Redis transport: when the other ones end",
}


def find_leaked_keys(url: str) -> list[str]:
    """Return the names of all keys at `url` that never expire and are not listed in `MAY_STAY`."""
    with connect(url) as client:
        names = sorted(key.decode(errors="backslashreplace") for key in client.scan_iter(count=1000))
        suspects = [name for name in names if not any(fnmatch.fnmatchcase(name, known) for known in MAY_STAY)]
        return [name for name in suspects if client.ttl(name) == NEVER_EXPIRES]
