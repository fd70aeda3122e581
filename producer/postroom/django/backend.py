"""Django's mail backend: what `send_mail` hands over goes into the queue, by default when its transaction commits.

Owns when a mail is queued, what `fail_silently` silences, and the receipt's id on Django's message. What the mail says is
`translation`'s business, where it goes is `session`'s. Django makes one of these for every call; it holds no connection.
"""

from __future__ import annotations

import logging
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from django.conf import settings
from django.core.mail.backends.base import BaseEmailBackend
from django.db import DEFAULT_DB_ALIAS, connections

from postroom.django.mailer import get_mailer
from postroom.django.session import Wanted, session_for
from postroom.django.translation import translate
from postroom_contract.errors import BrokerUnavailable, PostroomError, SmtpCommandException

if TYPE_CHECKING:
    from collections.abc import Iterable

    from django.core.mail import EmailMessage as DjangoMessage

    from postroom.mailer import AnyMailer
    from postroom.options import SendOptions
    from postroom_contract.message import EmailMessage
    from postroom_contract.session import BasicEmailSessionDetails

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Mail:
    """A mail that may be queued: it has been checked."""

    mailer: AnyMailer
    message: EmailMessage
    session: str | BasicEmailSessionDetails
    options: SendOptions
    # What the caller holds, and reads the receipt's id from.
    given: DjangoMessage

    def check(self) -> None:
        """Refuse now what would be refused when it is queued."""
        self.mailer.check(self.message, self.session, **self.options)
        _note_id(self.given, str(self.options["receipt_id"]))

    def queue(self) -> None:
        """Queue it."""
        receipt = self.mailer.send(self.message, self.session, **self.options)
        # Another one where an idempotency key tells that this mail was sent before.
        _note_id(self.given, receipt.id)


class EmailBackend(BaseEmailBackend):
    """`EMAIL_BACKEND = "postroom.django.EmailBackend"`."""

    # Whether a mail waits for the transaction that it is sent in.
    waits_for_commit: ClassVar[bool] = True

    def __init__(  # noqa: PLR0913, PLR0917 -- Django's own SMTP backend has these arguments, and callers pass them
        self,
        host: str | None = None,
        port: int | None = None,
        username: str | None = None,
        password: str | None = None,
        use_tls: bool | None = None,  # noqa: FBT001
        fail_silently: bool = False,  # noqa: FBT001, FBT002
        use_ssl: bool | None = None,  # noqa: FBT001
        timeout: float | None = None,  # noqa: ARG002 -- no request waits for an SMTP server; the worker has its own
        ssl_keyfile: str | None = None,
        ssl_certfile: str | None = None,
        *,
        session: str | None = None,
        alias: str | None = None,
        **unknown: Any,
    ) -> None:
        """Take the arguments of Django's SMTP backend, and `session`: a name in POSTROOM_SESSIONS_FILE, instead of them."""
        super().__init__(alias=alias, **unknown)
        # Not given to Django's own class, which from 6.1 on warns of it.
        self.fail_silently = fail_silently
        wanted = Wanted(
            host=host,
            port=port,
            username=username,
            password=password,
            use_tls=use_tls,
            use_ssl=use_ssl,
            ssl_keyfile=ssl_keyfile,
            ssl_certfile=ssl_certfile,
        )
        self.session = session or session_for(wanted, has_own_options=alias is not None)

    def send_messages(self, email_messages: Iterable[DjangoMessage]) -> int:
        """Queue messages, or have them queued by the commit of the transaction that is open.

        All are checked before the first is queued. Each message gets the attribute `postroom_receipt_id`, which is None
        where it was left out in silence.

        Returns:
            How many were queued or will be.

        Raises:
            ValueError: a message, an option or a setting is wrong, whatever `fail_silently` says.
            OSError: Redis is away, or an address is malformed, unless `fail_silently`.
        """
        mails = [mail for message in email_messages if message.recipients() and (mail := self._prepare(message))]
        return sum(self._queue(mail) for mail in mails)

    def _prepare(self, message: DjangoMessage) -> _Mail | None:
        # What Django has no word for: the options of `Mailer.send`, `session` and `priority`.
        options: Any = {"receipt_id": str(uuid.uuid4()), **getattr(message, "postroom", {})}
        fields = {name: options.pop(name) for name in ("priority",) if name in options}
        session = options.pop("session", self.session)
        mailer = get_mailer()
        try:
            mail = _Mail(mailer, translate(message, **fields), session, options, message)
            mail.check()
        except SmtpCommandException as refused:
            _note_id(message, None)
            self._tell(refused, options["receipt_id"])
            return None
        return mail

    def _queue(self, mail: _Mail) -> int:
        connection = connections[_database()]
        # Asked like this, Django opens no connection to a database that the request does not use.
        if self.waits_for_commit and connection.in_atomic_block:

            def queue_postroom_mail() -> None:
                self._queue_now(mail)

            # Robust: a mail that may fail in silence does not stop what else waits for this commit.
            connection.on_commit(queue_postroom_mail, robust=self.fail_silently)
            return 1
        return self._queue_now(mail)

    def _queue_now(self, mail: _Mail) -> int:
        try:
            mail.queue()
        except BrokerUnavailable as away:
            self._tell(away, str(mail.options["receipt_id"]))
            return 0
        return 1

    def _tell(self, failed: PostroomError, receipt_id: str) -> None:
        """Log what failed, and let the caller know unless it asked not to."""
        logger.error("mail %s was not queued: %r", receipt_id, failed)
        if not self.fail_silently:
            raise failed


class ImmediateEmailBackend(EmailBackend):
    """The same without waiting for a commit: for mail that must go out although the transaction fails, such as alarms."""

    waits_for_commit = False


def _note_id(message: DjangoMessage, receipt_id: str | None) -> None:
    message.postroom_receipt_id = receipt_id  # type: ignore[attr-defined]  # Django lets a message have more


def _database() -> str:
    """The database whose transactions mail waits for."""
    return str(getattr(settings, "POSTROOM_DATABASE", DEFAULT_DB_ALIAS))
