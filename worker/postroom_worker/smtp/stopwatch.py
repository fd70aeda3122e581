"""How long the steps of a transaction took, and of the session's opening before it.

Owns the names of the steps and one cheap clock. Each session has its own; what it shows travels in the transaction's report
and nowhere else. Deciding by it is nobody's business: timeouts have clocks of their own.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from enum import StrEnum


class Step(StrEnum):
    """What the time goes to, in the order of an attempt."""

    CONNECT = "connect"  # the name is looked up, and TCP connects
    TLS = "tls"  # the handshake; where TLS begins with the first octet, the greeting too, which comes right behind it
    GREETING = "greeting"  # the greeting and EHLO, also the second EHLO behind STARTTLS
    AUTH = "auth"
    ENVELOPE = "envelope"  # MAIL, RCPT and DATA, until the go-ahead or the refusal
    BODY = "body"  # the message, but for its last octets
    COMMIT = "commit"  # the ledger's word that the last octets may leave: Redis' time, not the server's
    REPLY = "reply"  # from the last octets to the reply


class Stopwatch:
    """Runs from the moment it is made; each lap is put down to one step."""

    def __init__(self, earlier: Mapping[str, float] | None = None) -> None:
        """Start.

        Args:
            earlier: laps that another stopwatch has taken (s).
        """
        self.seconds: dict[str, float] = dict(earlier or {})
        self._since = time.perf_counter()

    def lap(self, step: Step) -> None:
        """Put the time since the last lap down to a step, which may have had some before."""
        now = time.perf_counter()
        name = step.value
        self.seconds[name] = self.seconds.get(name, 0.0) + now - self._since
        self._since = now
