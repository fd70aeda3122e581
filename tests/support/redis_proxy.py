"""A TCP proxy in front of a real Redis that lets a test lose exactly one moment of the conversation.

It forwards everything until a client's bytes hold the word it was told to wait for; then it does what `fault` says. The
word is looked for in what arrives at once, which on loopback is one command or one transaction.
"""

import contextlib
import socket
import threading
from enum import Enum
from types import TracebackType
from typing import Self

# More than any command of these tests.
CHUNK_BYTES = 1 << 20


class Fault(Enum):
    """What happens to a command."""

    SWALLOW = "it never arrives, and nothing answers"
    CUT_BEFORE = "the connection is closed before it arrives"
    LOSE_ANSWER = "it arrives, and its answer is lost in silence"
    CUT_AFTER = "it arrives, and the connection is closed in the place of its answer"


class RedisProxy:
    """Listens on a free loopback port and forwards to a Redis there."""

    def __init__(
        self,
        redis_port: int,
        word: bytes = b"",
        fault: Fault | None = None,
        *,
        listener: socket.socket | None = None,
        times: int = 1_000_000,
    ) -> None:
        """Prepare a proxy; without a fault it only forwards.

        Args:
            redis_port: where the real server listens.
            word: the command to wait for, e.g. `b"EXEC"`.
            fault: what happens to it, each time.
            listener: where to listen, if not on a port of its own.
            times: how often it happens; by default to all that the test will send.
        """
        self._redis_port = redis_port
        self._word = word
        self._fault = fault
        self._left = times
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = listener or socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0"

    def cut(self) -> None:
        """Close every connection there is; new ones are taken."""
        # A copy: whoever is cut off comes back at once, and the list grows meanwhile.
        for connection in tuple(self._sockets):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def refuse(self) -> None:
        """Take no more connections."""
        # A thread that waits in accept() is woken by shutdown, not by close.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def __enter__(self) -> Self:
        self._run(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.refuse()
        self.cut()
        for thread in self._threads:
            thread.join()
        for connection in self._sockets:
            connection.close()

    def _run(self, target: object, *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._redis_port))
                self._sockets += [client, server]
                is_silent = threading.Event()
                self._run(self._forward_commands, client, server, is_silent)
                self._run(self._forward_answers, server, client, is_silent)

    def _forward_commands(self, client: socket.socket, server: socket.socket, is_silent: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(CHUNK_BYTES):
                is_hit = self._fault is not None and self._left > 0 and self._word in data
                self._left -= is_hit
                if is_hit and self._fault is not Fault.CUT_BEFORE:
                    is_silent.set()
                if not is_hit or self._fault in {Fault.LOSE_ANSWER, Fault.CUT_AFTER}:
                    server.sendall(data)
                if is_hit and self._fault is Fault.CUT_BEFORE:
                    client.shutdown(socket.SHUT_RDWR)
            server.shutdown(socket.SHUT_WR)

    def _forward_answers(self, server: socket.socket, client: socket.socket, is_silent: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(CHUNK_BYTES):
                if not is_silent.is_set():
                    client.sendall(data)
                elif self._fault is Fault.CUT_AFTER:
                    client.shutdown(socket.SHUT_RDWR)
            client.shutdown(socket.SHUT_RDWR)
