"""npm's smtp-server as a server for tests: a Node.js process that says on its standard output what it saw.

tests/node/smtp_server.cjs is the other half. The process goes when its standard input ends, thus also when the test run
dies.
"""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from postroom.testing import CertificateKit
from postroom.testing.certificates import HOSTS
from tests.support.other_server import (
    ARRIVAL_TIMEOUT_S,
    GREYLISTED,
    LARGEST_MESSAGE_OCTETS,
    READY_TIMEOUT_S,
    REFUSALS,
    USERS,
    Copy,
    Visit,
    Way,
)
from tests.support.waiting import wait_until

NODE_FOLDER = Path(__file__).parents[1] / "node"


def is_there() -> bool:
    """Whether Node.js and the package are installed."""
    return shutil.which("node") is not None and (NODE_FOLDER / "node_modules" / "smtp-server").is_dir()


class NpmSmtpServer:
    """One process, three servers in it."""

    pipelines = True

    def __init__(self, certificates: CertificateKit) -> None:
        certificate = certificates._ca.issue_cert(*HOSTS)
        self._options = {
            "key": certificate.private_key_pem.bytes().decode(),
            "cert": certificate.cert_chain_pems[0].bytes().decode(),
            "users": USERS,
            "refusals": REFUSALS,
            "once": [GREYLISTED],
            "largest": LARGEST_MESSAGE_OCTETS,
        }
        self._ports: dict[Way, int] = {}
        self._copies: list[Copy] = []
        self._visits: list[Visit] = []

    @property
    def ports(self) -> Mapping[Way, int]:
        return self._ports

    def wait_for_copies(self, count: int) -> list[Copy]:
        wait_until(lambda: len(self._copies) >= count, ARRIVAL_TIMEOUT_S, f"{count} messages")
        assert len(self._copies) == count
        return list(self._copies)

    def wait_for_visits(self, count: int) -> list[Visit]:
        wait_until(lambda: len(self._visits) >= count, ARRIVAL_TIMEOUT_S, f"{count} connections to end")
        assert len(self._visits) == count
        return list(self._visits)

    def __enter__(self) -> Self:
        node = shutil.which("node")
        assert node is not None
        self._process = subprocess.Popen(
            [node, str(NODE_FOLDER / "smtp_server.cjs")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(self._options).encode() + b"\n")
        self._process.stdin.flush()
        self._listener = threading.Thread(target=self._listen)
        self._listener.start()
        wait_until(lambda: self._ports or self._process.poll() is not None, READY_TIMEOUT_S, "the server to listen")
        assert self._process.poll() is None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(READY_TIMEOUT_S)
        self._listener.join()
        self._process.stdout.close()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._take(json.loads(line))

    def _take(self, told: dict[str, Any]) -> None:
        if ports := told.get("ports"):
            self._ports = {Way[way]: port for way, port in ports.items()}
        elif copy := told.get("copy"):
            content = base64.b64decode(copy["content"])
            self._copies.append(Copy(copy["sender"], tuple(copy["recipients"]), content))
        else:
            self._visits.append(Visit(told["visit"]))
