"""The Lua scripts, as things one can call.

Owns finding their texts (the folder `lua` of a package) and running them when the server has forgotten them. Here are
the transport's own; others are made where they are used. What a script does stands in its header; keys are always given
in full, with the operator's prefix.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib.resources import files
from typing import Any, Final

import redis
from redis.exceptions import NoScriptError

Argument = str | bytes | int | float


class Script:
    """One script."""

    def __init__(self, name: str, package: str = "postroom_broker.transport") -> None:
        self.text: Final = (files(package) / "lua" / f"{name}.lua").read_text(encoding="utf-8")
        # How Redis names a script; nothing is protected by it.
        self.sha: Final = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()

    def __call__(self, client: redis.Redis, keys: Sequence[str], arguments: Sequence[Argument] = ()) -> Any:
        """Run it and wait for its answer; the client must not add a prefix of its own to keys."""
        try:
            return client.evalsha(self.sha, len(keys), *keys, *arguments)
        except NoScriptError:
            return client.eval(self.text, len(keys), *keys, *arguments)


CLAIM = Script("claim")
RENEW = Script("renew")
LAPSED = Script("lapsed")
PUT_BACK = Script("put_back")
DELAY = Script("delay")
PROMOTE = Script("promote")
STEP_BACK = Script("step_back")
