"""An SMTP server for tests: runs in this process, does as its script says, and records everything it sees.

It listens on loopback, in a thread and an event loop of its own, so that plain tests, async tests and other processes can
all talk to it. This module owns the thread, the listener and the public face; one conversation is `smtp_session`'s, rules
are `smtp_script`'s, what was seen is `smtp_record`'s. It sends nothing on: mail ends here.
"""

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from types import TracebackType
from typing import Self, TypeVar

from postroom.testing.smtp_link import SmtpLink
from postroom.testing.smtp_record import ConnectionRecord, MessageRecord, SmtpRecord
from postroom.testing.smtp_script import Rule, Script
from postroom.testing.smtp_session import SmtpSession
from postroom.testing.smtp_state import SmtpSettings, TlsMode

# What a present-day server announces. The list is also what the server does: without PIPELINING it refuses pipelined
# commands, without SIZE it takes any size, without ENHANCEDSTATUSCODES its replies carry none.
EXTENSIONS = ("PIPELINING", "SIZE 10485760", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES")

# Hundreds of clients may connect at once; in a full queue they would wait a second for TCP to try again.
BACKLOG = 1024

# What the kernel takes of a message that the server does not read.
RECEIVE_BUFFER_BYTES = 256 * 1024

# A test that waits longer has failed; on a loaded machine a process may need seconds to come up.
WAIT_TIMEOUT_S = 30.0

Returned = TypeVar("Returned")


class SmtpServer:
    """A recording SMTP server; `with SmtpServer() as server:` runs it, as do `start` and `stop`.

    It can be stopped and started again: the port, the rules and the record stay.
    """

    def __init__(  # noqa: PLR0913 -- what a server can be; each has a default, and a test names one or two
        self,
        *,
        rules: Iterable[Rule] = (),
        host: str = "127.0.0.1",
        port: int = 0,
        tls: TlsMode = "none",
        ssl_context: ssl.SSLContext | None = None,
        users: Mapping[str, str] | None = None,
        auth_mechanisms: Iterable[str] = ("PLAIN", "LOGIN"),
        allow_cleartext_auth: bool = False,
        require_auth: bool = False,
        extensions: Iterable[str] = EXTENSIONS,
    ) -> None:
        """Prepare a server.

        Args:
            rules: what it does other than serve; see `at`.
            host: the address it listens on.
            port: 0 lets the system choose one at the first start.
            tls: "none", "starttls" (offered, not demanded) or "implicit".
            ssl_context: what it shows in the handshake; `CertificateKit` makes good and bad ones.
            users: passwords by user name; without users AUTH is not offered.
            auth_mechanisms: what is announced, in this order. PLAIN and LOGIN are understood, others get 504.
            allow_cleartext_auth: offer AUTH without TLS too.
            require_auth: refuse MAIL with 530 until the client has logged in.
            extensions: EHLO keywords with their parameters, apart from STARTTLS and AUTH.

        Raises:
            ValueError: TLS is asked for without a context.
        """
        if tls != "none" and ssl_context is None:
            raise ValueError(f"tls={tls!r} needs an ssl_context; CertificateKit().server_context() makes one")
        self.host = host
        self._port = port
        self._record = SmtpRecord()
        self._script = Script(rules)
        self._settings = SmtpSettings(
            tls=tls,
            ssl_context=ssl_context,
            users=dict(users or {}),
            auth_mechanisms=tuple(auth_mechanisms),
            allow_cleartext_auth=allow_cleartext_auth,
            require_auth=require_auth,
            extensions=tuple(extensions),
        )
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._sessions: dict[asyncio.Task[None], SmtpSession] = {}
        self._failures: list[BaseException] = []

    @property
    def port(self) -> int:
        """The port it listens on; 0 before the first start if the system is to choose."""
        return self._port

    # Running.

    def start(self) -> None:
        """Listen; return when clients can connect.

        Raises:
            OSError: it cannot listen there.
            RuntimeError: it runs already.
        """
        if self._thread is not None:
            raise RuntimeError("the SMTP server runs already")
        listening: Future[int] = Future()
        thread = threading.Thread(target=lambda: asyncio.run(self._serve(listening)), name="smtp-server", daemon=True)
        thread.start()
        self._port = listening.result()
        self._thread = thread

    def stop(self) -> None:
        """Drop all connections and listen no more; nothing happens when it does not run.

        Raises:
            Exception: what went wrong in a session, in a rule's predicate for instance: it must not pass unseen.
        """
        thread, self._thread = self._thread, None
        if thread is None:
            return
        assert self._loop is not None
        assert self._stopping is not None
        self._loop.call_soon_threadsafe(self._stopping.set)
        thread.join()
        failures, self._failures = self._failures, []
        if failures:
            raise failures[0]

    def restart(self) -> None:
        """Stop and start again: same port, same rules, same record."""
        self.stop()
        self.start()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # Directing.

    def add_rules(self, *rules: Rule) -> None:
        """Put rules behind those in force; they count from now on."""
        self._do(lambda: self._script.add(rules))

    def clear_rules(self) -> None:
        """Forget all rules, and let go what they hold."""
        self._do(self._script.clear)

    def release(self) -> None:
        """Let go all that `hold` rules hold; those rules hold nothing from now on."""
        self._do(self._script.release)

    def drop_connections(self, *last_words: str) -> None:
        """Close every open connection, as a server does with idle ones, after `last_words` such as "421 4.4.2 Idle"."""
        self._do(lambda: self._drop_connections(last_words))

    # Looking. Each is a snapshot.

    @property
    def messages(self) -> tuple[MessageRecord, ...]:
        """All accepted messages, in the order in which they were accepted."""
        return self._record.messages

    def take_messages(self) -> tuple[MessageRecord, ...]:
        """All accepted messages; the server forgets them and the connections that have ended, so that it may run for days."""
        return self._record.take_messages()

    @property
    def connections(self) -> tuple[ConnectionRecord, ...]:
        """All connections, in the order in which they were opened."""
        return self._record.connections

    @property
    def open_connections(self) -> int:
        """How many connections are open now."""
        return self._record.connections_open.now

    @property
    def peak_connections(self) -> int:
        """The most connections that were open at once."""
        return self._record.connections_open.peak

    @property
    def open_transactions(self) -> int:
        """How many transactions are open now: MAIL accepted, no final reply yet."""
        return self._record.transactions_open.now

    @property
    def peak_transactions(self) -> int:
        """The most transactions that were open at once."""
        return self._record.transactions_open.peak

    def wait_for(self, condition: Callable[[], object], timeout_s: float = WAIT_TIMEOUT_S) -> None:
        """Wait until `condition`, about what the server saw, holds: `wait_for(lambda: server.open_transactions == 3)`.

        Raises:
            TimeoutError: it does not hold in time.
        """
        self._record.wait_for(condition, timeout_s)

    def wait_for_messages(self, count: int, timeout_s: float = WAIT_TIMEOUT_S) -> tuple[MessageRecord, ...]:
        """Wait until at least `count` messages have been accepted, and return all there are.

        Raises:
            TimeoutError: there are fewer in time.
        """
        self.wait_for(lambda: len(self.messages) >= count, timeout_s)
        return self.messages

    # In the server's thread.

    async def _serve(self, listening: "Future[int]") -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        self._script.rearm()
        try:
            listener = await self._loop.create_server(
                lambda: SmtpLink(self._open_session), self.host, self._port, backlog=BACKLOG
            )
        except (OSError, OverflowError) as error:  # the latter for a port above 65535
            listening.set_exception(error)
            return
        for listening_socket in listener.sockets:
            # Handed on to each connection: a kernel that buffers up to 32 MB of what nobody reads would hide that a server has
            # stopped reading.
            listening_socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        listening.set_result(listener.sockets[0].getsockname()[1])
        await self._stopping.wait()
        # A client accepted in this very round gets its transport in the next one. asyncio would lose it, unclosed, if the
        # listener were closed by then.
        for accepting in listener.sockets:
            self._loop.remove_reader(accepting.fileno())
        await asyncio.sleep(0)
        listener.close()
        # Here, because a session that is cancelled before its first step cleans up nothing.
        self._drop_connections(())
        sessions = list(self._sessions)
        for session in sessions:
            session.cancel()
        await asyncio.gather(*sessions, return_exceptions=True)

    def _open_session(self, link: SmtpLink) -> None:
        assert self._stopping is not None
        if self._stopping.is_set():
            link.drop()  # nobody would end this session
            return
        session = SmtpSession(link, self._record.open_connection(), self._record, self._script, self._settings)
        task = asyncio.get_running_loop().create_task(session.run())
        self._sessions[task] = session
        task.add_done_callback(self._close_session)

    def _close_session(self, task: asyncio.Task[None]) -> None:
        del self._sessions[task]
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failures.append(error)

    def _drop_connections(self, last_words: tuple[str, ...]) -> None:
        for session in self._sessions.values():
            session.drop(*last_words)

    def _do(self, action: Callable[[], Returned]) -> Returned:
        """Run `action` where the sessions run, so that the script needs no lock; return when it is done."""
        if self._thread is None or threading.current_thread() is self._thread:
            return action()
        done: Future[Returned] = Future()

        def act() -> None:
            try:
                done.set_result(action())
            except Exception as error:  # noqa: BLE001 -- it is raised again in the caller's thread
                done.set_exception(error)

        assert self._loop is not None
        self._loop.call_soon_threadsafe(act)
        return done.result(WAIT_TIMEOUT_S)
