"""A Lua script as a thing that one can call.

Owns finding its text (the folder `lua` of the package that names it) and running it when the server has forgotten it. What
a script does stands in its own header. The transport, the ledger and the dead letters each list theirs in a module `scripts`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib.resources import files
from typing import Any, Final

import redis
from redis.asyncio import Redis as AsyncRedis
from redis.exceptions import NoScriptError

Argument = str | bytes | int | float


class Script:
    """One script."""

    def __init__(self, package: str, name: str, *, after: Sequence[str] = ()) -> None:
        """Find a script; `after` names texts that stand before its own, with functions that several scripts call."""
        folder = files(package) / "lua"
        self.text: Final = "".join((folder / f"{each}.lua").read_text(encoding="utf-8") for each in (*after, name))
        # How Redis names a script; nothing is protected by it.
        self.sha: Final = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()

    def __call__(self, client: redis.Redis, keys: Sequence[str], arguments: Sequence[Argument] = ()) -> Any:
        """Run it and wait for its answer; the client must not add a prefix of its own to keys."""
        try:
            return client.evalsha(self.sha, len(keys), *keys, *arguments)
        except NoScriptError:
            return client.eval(self.text, len(keys), *keys, *arguments)

    async def acall(self, client: AsyncRedis, keys: Sequence[str], arguments: Sequence[Argument] = ()) -> Any:
        """Run it without blocking the event loop."""
        # The client's stubs want text; what is sent is the same.
        call: Any = (len(keys), *keys, *arguments)
        try:
            return await client.evalsha(self.sha, *call)
        except NoScriptError:
            return await client.eval(self.text, *call)
