"""Places where no SMTP server is: a closed port, one that is silent, and one where a connection never comes about.

They show a client's timeouts for what they are, on loopback and without a thread. A server that misbehaves after it has
greeted is a matter for the rules of `SmtpServer`.
"""

import contextlib
import secrets
import select
import socket
from types import TracebackType
from typing import Self

HOST = "127.0.0.1"

# A connection on loopback stands within a millisecond, or waits for a place in the queue.
CONNECT_WAIT_S = 0.2

# Linux queues one connection more than asked for, other systems half as many again; sixteen is far beyond.
MOST_FILLERS = 16


# Below the ports from which Linux lets programs call (32768 on), so that no outgoing connection takes one meanwhile, and
# above those that services are known by.
FREE_PORTS = range(10_000, 32_768)


def free_port() -> int:
    """Return a loopback port that nothing listened on a moment ago; a connection to it is refused.

    It is drawn by chance: the system itself gives two programs that ask in the same moment the same one.
    """
    while True:
        port = FREE_PORTS[secrets.randbelow(len(FREE_PORTS))]
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((HOST, port))
            return port


def is_free(port: int, host: str = HOST) -> bool:
    """Whether a program could listen there."""
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, port))
        except OSError:
            return False
    return True


class SilentListener:
    """Takes connections, as the kernel does for it, and never says or reads anything."""

    backlog = 128

    def __init__(self) -> None:
        self.host = HOST
        self.port = 0
        self._listener: socket.socket | None = None

    def start(self) -> None:
        """Listen on a free port."""
        self._listener = socket.create_server((self.host, 0), backlog=self.backlog)
        self.port = self._listener.getsockname()[1]

    def stop(self) -> None:
        """Close the port; connections in the queue are reset."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class FullListener(SilentListener):
    """Has no room in its queue, so that an attempt to connect goes unanswered until the client gives up."""

    backlog = 0

    def __init__(self) -> None:
        super().__init__()
        self._fillers: list[socket.socket] = []

    def start(self) -> None:
        """Listen on a free port and fill the queue.

        Raises:
            OSError: this system does not let the queue fill up.
        """
        super().start()
        for _ in range(MOST_FILLERS):
            if not self._fill():
                return
        self.stop()
        raise OSError("the queue of the listener does not fill up")

    def stop(self) -> None:
        """Close the port and what fills its queue."""
        super().stop()
        for filler in self._fillers:
            filler.close()
        self._fillers.clear()

    def _fill(self) -> bool:
        filler = socket.socket()
        self._fillers.append(filler)
        filler.settimeout(0)
        filler.connect_ex((self.host, self.port))
        _, connected, _ = select.select([], [filler], [], CONNECT_WAIT_S)
        return bool(connected)
