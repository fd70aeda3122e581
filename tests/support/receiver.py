"""A receiver of webhooks on loopback that answers as its script says and keeps all requests."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from tests.support.waiting import wait_until

# A status, or a status with headers; called for each request with its number, from 1.
Script = Callable[[int], int | tuple[int, dict[str, str]]]


@dataclass(frozen=True)
class Request:
    """One request, as it came."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """Answers with 204, unless its script says otherwise."""

    script: Script = field(default=lambda _: 204)
    requests: list[Request] = field(default_factory=list)
    # Those of them that were answered with 2xx.
    taken: list[Request] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.may_answer = threading.Event()
        self.may_answer.set()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                request = Request(self.path, {k.lower(): v for k, v in self.headers.items()}, body)
                receiver.requests.append(request)
                number = len(receiver.requests)
                receiver.may_answer.wait(60)
                said = receiver.script(number)
                status, headers = said if isinstance(said, tuple) else (said, {})
                if status // 100 == 2:
                    receiver.taken.append(request)
                self.send_response(status)
                for name, value in {"content-length": "0", **headers}.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        class Server(ThreadingHTTPServer):
            # A worker calls twenty times at once; in the usual queue of five some would wait a second for TCP to try again.
            request_queue_size = 128

        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/hooks/mail"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def wait_for(self, count: int, timeout_s: float = 40.0) -> list[Request]:
        """The requests, once there are so many."""
        wait_until(lambda: len(self.requests) >= count, timeout_s, f"{count} requests; there are {len(self.requests)}")
        return list(self.requests)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.may_answer.set()
        self._server.shutdown()
        self._server.server_close()
