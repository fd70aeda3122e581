"""aiosmtpd as a server for tests: in this process, one controller for each way in.

It announces SIZE and SMTPUTF8 but no PIPELINING, so it shows the conversation command by command.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from postroom.testing import free_port
from tests.support.other_server import (
    ARRIVAL_TIMEOUT_S,
    LARGEST_MESSAGE_OCTETS,
    USERS,
    Copy,
    Refusing,
    Visit,
    Way,
)
from tests.support.waiting import wait_until


class AiosmtpdServer:
    """One aiosmtpd per way in, and one record."""

    pipelines = False

    def __init__(self, context: ssl.SSLContext) -> None:
        self._handler = _Handler()
        common: dict[str, Any] = {"data_size_limit": LARGEST_MESSAGE_OCTETS, "enable_SMTPUTF8": True}
        with_auth = common | {"authenticator": _authenticate}
        self._controllers = {
            Way.CLEAR: self._controller(**common),
            Way.STARTTLS: self._controller(tls_context=context, **with_auth),
            # It counts TLS from the first byte as no TLS where AUTH is concerned.
            Way.IMPLICIT: self._controller(ssl_context=context, auth_require_tls=False, **with_auth),
        }
        self._running = ExitStack()

    @property
    def ports(self) -> Mapping[Way, int]:
        return {way: controller.port for way, controller in self._controllers.items()}

    def wait_for_copies(self, count: int) -> list[Copy]:
        copies = self._handler.copies
        wait_until(lambda: len(copies) >= count, ARRIVAL_TIMEOUT_S, f"{count} messages")
        assert len(copies) == count
        return list(copies)

    def wait_for_visits(self, count: int) -> list[Visit]:
        visits = self._handler.visits
        wait_until(lambda: sum(visit["quit"] for visit in visits.values()) >= count, ARRIVAL_TIMEOUT_S, "QUIT")
        assert len(visits) == count
        return list(visits.values())

    def __enter__(self) -> Self:
        for controller in self._controllers.values():
            controller.start()
            self._running.callback(controller.stop)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running.close()

    def _controller(self, **options: Any) -> Controller:
        return Controller(self._handler, hostname="127.0.0.1", port=free_port(), **options)


class _Handler:
    """Records what clients do. The hooks' names are aiosmtpd's; a hook stands in for what the server would have done."""

    def __init__(self) -> None:
        self.copies: list[Copy] = []
        self.visits: dict[Any, Visit] = {}
        self._refusing = Refusing()

    async def handle_EHLO(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        self._count(session, "ehlo")
        return responses

    def handle_STARTTLS(self, server: SMTP, session: Session, envelope: Envelope) -> bool:  # noqa: N802
        self._count(session, "starttls")
        return True

    async def handle_MAIL(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        self._count(session, "mail")
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 OK"

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        self._count(session, "rcpt")
        refusal = self._refusing.about(address)
        if refusal is not None:
            if refusal.startswith("421"):
                await server.push(refusal)
                assert server.transport is not None
                server.transport.close()
            return refusal
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        self._count(session, "data")
        assert isinstance(envelope.content, bytes)
        self.copies.append(Copy(envelope.mail_from or "", tuple(envelope.rcpt_tos), envelope.content))
        return "250 2.0.0 Taken"

    async def handle_RSET(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        self._count(session, "rset")
        return "250 2.0.0 Forgotten"

    async def handle_QUIT(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        self._count(session, "quit")
        self._count(session, "auth", int(bool(session.authenticated)))
        return "221 2.0.0 Bye"

    def _count(self, session: Session, verb: str, times: int = 1) -> None:
        self.visits.setdefault(session.peer, Visit())[verb] += times


def _authenticate(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
    if not isinstance(data, LoginPassword):
        return AuthResult(success=False, handled=False)
    return AuthResult(success=USERS.get(data.login.decode()) == data.password.decode(), handled=False)
