"""What Postfix asks others about, answered in this process: may this recipient be written to, is this password right.

`PolicyService` speaks Postfix's policy delegation protocol, `AuthService` the server's side of Dovecot's authentication
protocol, version 1.1, of which PLAIN is all that is needed. Both are `socketserver`s on free loopback ports.
"""

from __future__ import annotations

import base64
import socketserver
import threading
from types import TracebackType
from typing import Self

from tests.support.other_server import USERS, Refusing


class _Service(socketserver.ThreadingTCPServer):
    """Listens for as long as the context; Postfix keeps its connections open, so nobody waits for them."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, handler: type[socketserver.StreamRequestHandler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.server_address[1])

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()


class PolicyService(_Service):
    """Refuses recipients as `REFUSALS` says."""

    def __init__(self) -> None:
        super().__init__(_PolicyDialogue)
        self.refusing = Refusing()


class AuthService(_Service):
    """Knows `USERS`."""

    def __init__(self) -> None:
        super().__init__(_AuthDialogue)


class _PolicyDialogue(socketserver.StreamRequestHandler):
    """Requests are `name=value` lines up to an empty one (Postfix's SMTPD_POLICY_README)."""

    server: PolicyService

    def handle(self) -> None:
        attributes: dict[str, str] = {}
        for line in self.rfile:
            name, _, value = line.decode().rstrip("\n").partition("=")
            if name:
                attributes[name] = value
                continue
            action = self.server.refusing.about(attributes["recipient"]) or "DUNNO"
            self.wfile.write(f"action={action}\n\n".encode())
            attributes.clear()


class _AuthDialogue(socketserver.StreamRequestHandler):
    """Lines of fields between tabs."""

    def handle(self) -> None:
        hello = ("VERSION\t1\t1", "MECH\tPLAIN\tplaintext", "SPID\t1", "CUID\t1", f"COOKIE\t{'0' * 32}", "DONE")
        self.wfile.write("".join(f"{line}\n" for line in hello).encode())
        for line in self.rfile:
            verb, *fields = line.decode().rstrip("\n").split("\t")
            if verb != "AUTH":
                continue  # its version and process number
            response = next(field.removeprefix("resp=") for field in fields if field.startswith("resp="))
            _, username, password = base64.b64decode(response).decode().split("\0")
            verdict = "OK" if USERS.get(username) == password else "FAIL"
            self.wfile.write(f"{verdict}\t{fields[0]}\tuser={username}\n".encode())
