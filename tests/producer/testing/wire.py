"""A client that says exactly what a test tells it to, one octet or one line at a time, and reads one reply at a time.

smtplib is too well-behaved to show what a server does with pipelined, cut or smuggled input.
"""

import contextlib
import select
import socket
import ssl
from types import TracebackType
from typing import Self

from postroom.testing.smtp_script import Phase

# Long for a loaded machine; a test that gets here has failed.
TIMEOUT_S = 10.0

# How long nothing has to happen for a peer to count as silent.
SILENCE_S = 0.05


class Wire:
    """One connection to a server on loopback."""

    def __init__(self, port: int, *, context: ssl.SSLContext | None = None) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), TIMEOUT_S)
        self._buffer = b""
        if context is not None:
            self.start_tls(context)

    def start_tls(self, context: ssl.SSLContext) -> None:
        """Shake hands; from then on an end without close_notify is an error."""
        # Set by default up to Python 3.11.2; OpenSSL before 3.0 has no such option, and no need for it.
        context.options &= ~getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)
        self.socket = context.wrap_socket(self.socket, server_hostname="localhost", suppress_ragged_eofs=False)

    def strip_tls(self) -> None:
        """Go on with the bare TCP connection."""
        self.socket = socket.socket(fileno=self.socket.detach())
        self.socket.settimeout(TIMEOUT_S)

    def send(self, *lines: str) -> None:
        """Send lines in one segment."""
        self.send_octets("".join(f"{line}\r\n" for line in lines).encode())

    def send_octets(self, octets: bytes) -> None:
        self.socket.sendall(octets)

    def reply(self) -> str:
        """Read one reply; its lines are joined by a line feed."""
        lines = [self._line()]
        while lines[-1][3:4] == "-":
            lines.append(self._line())
        return "\n".join(lines)

    def ask(self, *lines: str) -> str:
        """Send lines, read one reply."""
        self.send(*lines)
        return self.reply()

    def segment(self) -> bytes:
        """Read what one call to recv returns."""
        octets, self._buffer = self._buffer, b""
        return octets or self.socket.recv(65536)

    def rest(self) -> bytes:
        """Read to the end of the connection."""
        octets, self._buffer = self._buffer, b""
        while chunk := self.socket.recv(65536):
            octets += chunk
        return octets

    def is_silent(self) -> bool:
        """Tell whether nothing at all comes from the server, neither octets nor an end."""
        return not self._buffer and not select.select([self.socket], [], [], SILENCE_S)[0]

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _line(self) -> str:
        while b"\r\n" not in self._buffer:
            chunk = self.socket.recv(65536)
            if not chunk:
                raise EOFError
            self._buffer += chunk
        line, self._buffer = self._buffer.split(b"\r\n", 1)
        return line.decode()


# What a client says to get from the greeting to each phase; the last line is what the phase answers.
LINES_TO: dict[Phase, tuple[str, ...]] = {
    "GREETING": (),
    "EHLO": ("EHLO me.test",),
    "HELO": ("HELO me.test",),
    "STARTTLS": ("EHLO me.test", "STARTTLS"),
    "AUTH": ("EHLO me.test", "AUTH PLAIN AHVzZXIAc2VjcmV0"),  # user, secret
    "MAIL": ("EHLO me.test", "MAIL FROM:<a@x.test>"),
    "RCPT": ("EHLO me.test", "MAIL FROM:<a@x.test>", "RCPT TO:<b@x.test>"),
    "DATA": ("EHLO me.test", "MAIL FROM:<a@x.test>", "RCPT TO:<b@x.test>", "DATA"),
    "END_OF_DATA": (
        *("EHLO me.test", "MAIL FROM:<a@x.test>", "RCPT TO:<b@x.test>", "DATA"),
        "Subject: hello\r\n\r\nbody\r\n.",
    ),
    "RSET": ("EHLO me.test", "RSET"),
    "NOOP": ("EHLO me.test", "NOOP"),
    "QUIT": ("EHLO me.test", "QUIT"),
}


def lead_to(phase: Phase, port: int) -> Wire:
    """Connect and go as far as the question that `phase` answers; the next reply is the phase's own."""
    wire = Wire(port)
    lines = LINES_TO[phase]
    with contextlib.ExitStack() as on_failure:
        on_failure.callback(wire.close)
        if lines:
            assert wire.reply().startswith("220")
            for line in lines[:-1]:
                assert wire.ask(line)[:1] in {"2", "3"}
            wire.send(lines[-1])
        on_failure.pop_all()
    return wire
