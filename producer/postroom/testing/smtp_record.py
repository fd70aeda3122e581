"""What the SMTP server saw: connections, logins, commands, accepted messages, and how many were open at once.

Sessions write through a `ConnectionLog`, in the server's thread; everybody else reads frozen snapshots, from any thread,
or waits for a change. Passwords never get here: an AUTH command is kept without its argument.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Literal

Ending = Literal["quit", "client_closed", "server_dropped", "tls_failed"]


@dataclass(frozen=True)
class AuthAttempt:
    """One AUTH command: the mechanism, the user name if it got that far, and whether it was let in."""

    mechanism: str
    username: str | None = None
    has_succeeded: bool = False


@dataclass(frozen=True)
class ConnectionRecord:
    """One connection, as far as it has got."""

    id: int
    """From 1, over the life of the server, restarts included."""
    opened_at: float
    """`time.monotonic()`, as all times here."""
    closed_at: float | None
    ending: Ending | None
    """How it ended; None while it is open."""
    tls_version: str | None
    """As `ssl.SSLSocket.version()` says it; None in clear text."""
    tls_failure: str | None
    """Why TLS failed, in OpenSSL's words, such as "TLSV1_ALERT_UNKNOWN_CA"."""
    auth_attempts: tuple[AuthAttempt, ...]
    commands: tuple[str, ...]
    """Every command line, in order, with the argument of AUTH masked. Message text is not among them."""
    violations: tuple[str, ...]
    """What the client did against the protocol although it was served: a bare LF, a command sent too early."""

    @property
    def verbs(self) -> tuple[str, ...]:
        """The commands without their arguments, in capitals."""
        return tuple(command.partition(" ")[0].upper() for command in self.commands)


@dataclass(frozen=True)
class MessageRecord:
    """One message that the server accepted."""

    connection_id: int
    accepted_at: float
    sender: str
    parameters: Mapping[str, str]
    """Those of MAIL, names in capitals; a parameter without a value has an empty one."""
    recipients: tuple[str, ...]
    """Those accepted, in the order in which they came."""
    username: str | None
    """Who was logged in."""
    data: bytes = field(repr=False)
    """The message as the client meant it: dots unstuffed, the final dot removed, nothing else changed."""

    def parsed(self) -> EmailMessage:
        """Return the message as the standard library reads it."""
        return message_from_bytes(self.data, policy=policy.default)


class SmtpRecord:
    """Everything one server saw, safe to read from any thread while it goes on."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._logs: list[ConnectionLog] = []
        self._messages: list[MessageRecord] = []
        self._opened = 0
        self.connections_open = Tally()
        self.transactions_open = Tally()

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Hold the record while something is written, and wake those who wait for a change."""
        with self._changed:
            yield
            self._changed.notify_all()

    def open_connection(self) -> "ConnectionLog":
        """Note a new connection and return the log that it writes to."""
        with self.changing():
            self._opened += 1
            log = ConnectionLog(self, self._opened)
            self._logs.append(log)
            self.connections_open.add()
            return log

    def add_message(self, message: MessageRecord) -> None:
        """Note an accepted message."""
        with self.changing():
            self._messages.append(message)

    def take_messages(self) -> tuple[MessageRecord, ...]:
        """All messages accepted so far; they are forgotten, and so are the connections that have ended."""
        with self.changing():
            taken, self._messages = self._messages, []
            self._logs = [log for log in self._logs if not log.has_ended]
            return tuple(taken)

    @property
    def connections(self) -> tuple[ConnectionRecord, ...]:
        """All connections so far, in the order in which they were opened."""
        with self._changed:
            return tuple(log.snapshot() for log in self._logs)

    @property
    def messages(self) -> tuple[MessageRecord, ...]:
        """All messages accepted so far, in that order."""
        with self._changed:
            return tuple(self._messages)

    def wait_for(self, condition: Callable[[], object], timeout_s: float) -> None:
        """Wait until `condition` holds; it is looked at after every change.

        Raises:
            TimeoutError: it does not hold in time; the text says in numbers what there was.
        """
        with self._changed:
            if not self._changed.wait_for(condition, timeout_s):
                raise TimeoutError(
                    f"waited {timeout_s:g} s in vain; the SMTP server saw {len(self._logs)} connections "
                    f"({self.connections_open.now} open, {self.transactions_open.now} in a transaction) "
                    f"and accepted {len(self._messages)} messages"
                )


class Tally:
    """How many of something there are now, and the most there ever were at once."""

    def __init__(self) -> None:
        self.now = 0
        self.peak = 0

    def add(self) -> None:
        """Count one more."""
        self.now += 1
        self.peak = max(self.peak, self.now)

    def remove(self) -> None:
        """Count one less."""
        self.now -= 1


class ConnectionLog:
    """The writing end of one connection's record."""

    def __init__(self, record: SmtpRecord, number: int) -> None:
        self.id = number
        self._record = record
        self._opened_at = time.monotonic()
        self._closed_at: float | None = None
        self._ending: Ending | None = None
        self._tls_version: str | None = None
        self._tls_failure: str | None = None
        self._auth_attempts: list[AuthAttempt] = []
        self._commands: list[str] = []
        self._violations: list[str] = []
        self._is_in_transaction = False

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will be noted."""
        return self._ending is not None

    def note_command(self, line: str) -> None:
        """Note a command line; AUTH is kept up to its mechanism."""
        verb, _, argument = line.partition(" ")
        if verb.upper() == "AUTH":
            mechanism, *secret = argument.split(maxsplit=1)[:2] or [""]
            line = f"{verb} {mechanism}" + (" ****" if secret else "")
        with self._record.changing():
            self._commands.append(line)

    def note_violation(self, what: str) -> None:
        """Note what the client did against the protocol."""
        with self._record.changing():
            self._violations.append(what)

    def note_tls(self, version: str) -> None:
        """Note that TLS stands."""
        with self._record.changing():
            self._tls_version = version

    def note_auth(self, attempt: AuthAttempt) -> None:
        """Note the end of an AUTH exchange."""
        with self._record.changing():
            self._auth_attempts.append(attempt)

    def open_transaction(self) -> None:
        """Note that MAIL was accepted."""
        with self._record.changing():
            self._is_in_transaction = True
            self._record.transactions_open.add()

    def close_transaction(self) -> None:
        """Note the end of the transaction, if there is one."""
        with self._record.changing():
            if self._is_in_transaction:
                self._is_in_transaction = False
                self._record.transactions_open.remove()

    def close(self, ending: Ending, *, tls_failure: str | None = None) -> None:
        """Note how the connection ended, which is "tls_failed" where there was a `tls_failure`; the first word counts."""
        self.close_transaction()
        with self._record.changing():
            if self._ending is None:
                self._ending = "tls_failed" if tls_failure else ending
                self._tls_failure = tls_failure
                self._closed_at = time.monotonic()
                self._record.connections_open.remove()

    def snapshot(self) -> ConnectionRecord:
        """Return the connection as it is now; the caller holds the record."""
        return ConnectionRecord(
            id=self.id,
            opened_at=self._opened_at,
            closed_at=self._closed_at,
            ending=self._ending,
            tls_version=self._tls_version,
            tls_failure=self._tls_failure,
            auth_attempts=tuple(self._auth_attempts),
            commands=tuple(self._commands),
            violations=tuple(self._violations),
        )
