"""A name server for tests: answers TXT questions about made-up domains on loopback, over UDP, in a thread of its own.

What is in its zone it tells; of a name that has others below it, it says that there are no such records; of all others,
that they do not exist. It asks nobody.
"""

import socket
import threading
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

import dns.flags
import dns.message
import dns.rcode
import dns.rrset

# More than any question.
MOST_OCTETS = 4096


class DnsServer:
    """Runs inside its `with` block."""

    def __init__(self, zone: Mapping[str, Sequence[str]]) -> None:
        """Prepare a server.

        Args:
            zone: TXT records by name, without the dot at the end.
        """
        self._zone = dict(zone)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, name="dns-server", daemon=True)
        self.port: int = self._socket.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # An empty datagram ends the thread: closing a socket does not wake who waits at it.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as goodbye:
            goodbye.sendto(b"", self._socket.getsockname())
        self._thread.join(10)
        self._socket.close()

    def _serve(self) -> None:
        while True:
            octets, asker = self._socket.recvfrom(MOST_OCTETS)
            if not octets:
                return
            self._socket.sendto(self._answer(dns.message.from_wire(octets)).to_wire(), asker)

    def _answer(self, question: dns.message.Message) -> dns.message.Message:
        answer = dns.message.make_response(question)
        answer.flags |= dns.flags.RA
        asked = question.question[0]
        name = asked.name.to_text(omit_final_dot=True).lower()
        texts = self._zone.get(name)
        if texts:
            rows = [f'"{text}"' for text in texts]
            answer.answer.append(dns.rrset.from_text(asked.name, 60, "IN", "TXT", *rows))
        elif texts is None and not any(known.endswith(f".{name}") for known in self._zone):
            answer.set_rcode(dns.rcode.NXDOMAIN)
        return answer
