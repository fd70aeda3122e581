"""A loopback of its own for one worker, on which another process really can hold every socket to one place.

The system has a few dozen ports to call from there. Ports are counted by destination, so a process beside the worker
that opens as many connections to the mail server takes every socket for SMTP and none for Redis: connecting fails with
the kernel's own EADDRNOTAVAIL, and nothing of ours is replaced. Fewer handles (`RLIMIT_NOFILE`) would hit Redis by
chance, and a socket that raises by order would prove what the test put in.

It is a Linux network namespace, which root may make, and others where the system lets them make user namespaces. The test
stays outside: what the worker connects to is a listener inside, whose connections are forwarded to the same port outside.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import socket
import struct
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.redis_proxy import RedisProxy

# Enough for a worker's connections to Redis (about ten), few enough to be held by one process.
PORTS_TO_CALL_FROM = "40000 40039"

# Starting an interpreter takes seconds on a loaded two-core machine.
TIMEOUT_S = 60.0

# linux/sched.h and linux/sockios.h
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
SIOCSIFFLAGS, IFF_UP = 0x8914, 1


class NarrowNetwork:
    """The test's end: forwards what comes through, and says when every socket to a port is to be held, or let go."""

    def __init__(self, folder: Path, *ports: int) -> None:
        """Prepare a network.

        Args:
            folder: where its two ends find each other.
            ports: what can be reached from inside, on 127.0.0.1; sockets to the last of them can be held.
        """
        self._path = folder / "network"
        self._ports = ports
        self._ending = ExitStack()

    @property
    def starter(self) -> tuple[str, ...]:
        """The arguments with which an interpreter becomes a worker in this network."""
        return ("-m", "tests.support.narrow_network", str(self._path), ",".join(map(str, self._ports)))

    def hold_every_socket(self) -> int:
        """Let the other process hold all there are, and return how many."""
        return self._ask(b"hold")

    def let_go(self) -> None:
        """Let the other process close them."""
        self._ask(b"let go")

    def __enter__(self) -> Self:
        meeting = self._ending.enter_context(socket.socket(socket.AF_UNIX))
        meeting.bind(str(self._path))
        meeting.listen(1)
        meanwhile = self._ending.enter_context(ThreadPoolExecutor(1))
        self._ending.callback(_wake, meeting)
        self._control = meanwhile.submit(self._meet, meeting)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.close()

    def _meet(self, meeting: socket.socket) -> socket.socket:
        """Wait for the worker, and forward from then on."""
        control, _ = meeting.accept()
        self._ending.enter_context(control)
        control.settimeout(TIMEOUT_S)
        _, handles, _, _ = socket.recv_fds(control, 16, len(self._ports))
        for port, handle in zip(self._ports, handles, strict=True):
            self._ending.enter_context(RedisProxy(port, listener=socket.socket(fileno=handle)))
        return control

    def _ask(self, word: bytes) -> int:
        control = self._control.result(TIMEOUT_S)
        control.sendall(word)
        return int(control.recv(16))


def _wake(waiting: socket.socket) -> None:
    """End `accept`, which a mere close would not."""
    with contextlib.suppress(OSError):
        waiting.shutdown(socket.SHUT_RDWR)


def can_be_had() -> bool:
    """Tell whether this system lets us make such a network."""
    tried = [sys.executable, "-c", "from tests.support.narrow_network import enter; enter()"]
    return subprocess.run(tried, cwd=Path(__file__).parents[2], capture_output=True, check=False).returncode == 0


def enter() -> None:
    """Move this process into a network of its own, with nothing but a loopback of few ports."""
    system = ctypes.CDLL(None, use_errno=True)
    user, group = os.getuid(), os.getgid()
    if system.unshare(CLONE_NEWNET) != 0:
        if system.unshare(CLONE_NEWNET | CLONE_NEWUSER) != 0:
            raise OSError(ctypes.get_errno(), "no network namespace")
        # Who we are stays the same inside.
        Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1", encoding="ascii")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1", encoding="ascii")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))
    Path("/proc/sys/net/ipv4/ip_local_port_range").write_text(PORTS_TO_CALL_FROM, encoding="ascii")


def main() -> None:
    """Make the network, leave a process in it that holds sockets when it is told to, and become the worker."""
    path, ports, *options = sys.argv[1:]
    enter()
    control = socket.socket(socket.AF_UNIX)
    control.connect(path)
    listeners = [socket.create_server(("127.0.0.1", int(port))) for port in ports.split(",")]
    socket.send_fds(control, [b"here"], [listener.fileno() for listener in listeners])
    for listener in listeners:
        listener.close()
    if os.fork() == 0:
        _serve(control, int(ports.rpartition(",")[2]))
        os._exit(0)
    control.close()
    os.execv(sys.executable, [sys.executable, "-m", "postroom_worker", *options])  # noqa: S606 -- no shell is wanted


def _serve(control: socket.socket, port: int) -> None:
    """Hold sockets and let them go, as the test says, until the test has gone."""
    held: list[socket.socket] = []
    while word := control.recv(16):
        if word == b"hold":
            held += _take_every_socket(port)
        while held and word != b"hold":
            # Reset, so that no port is kept back for a minute (TIME_WAIT).
            held[-1].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            held.pop().close()
        control.sendall(str(len(held)).encode())


def _take_every_socket(port: int) -> list[socket.socket]:
    taken: list[socket.socket] = []
    while True:
        one = socket.socket()
        try:
            one.connect(("127.0.0.1", port))
        except OSError as error:
            one.close()
            if error.errno != errno.EADDRNOTAVAIL:
                raise
            return taken
        taken.append(one)


if __name__ == "__main__":
    main()
