"""The commands of one mail transaction: MAIL, RCPT, DATA with the message itself, and RSET (RFC 5321 §3.3).

A message is recorded as accepted before its reply leaves, as a server that keeps its promise must do. Called by
`smtp_session`, which sees to everything around a transaction.
"""

import time

from postroom.testing.smtp_link import SmtpLink
from postroom.testing.smtp_record import ConnectionLog, MessageRecord, SmtpRecord
from postroom.testing.smtp_responder import Responder
from postroom.testing.smtp_state import SessionState, Transaction
from postroom.testing.smtp_syntax import (
    MAIL_PARAMETERS,
    RCPT_PARAMETERS,
    CommandRefused,
    check_charset,
    check_parameters,
    find_violations,
    parse_path,
    refuse_argument,
    unstuff,
)

END_OF_DATA = b"\r\n.\r\n"


class TransactionCommands:
    """The handlers; each takes the command's argument and answers.

    Raises (all of them):
        CommandRefused: the argument breaks the rules; its text is the reply.
    """

    def __init__(
        self, link: SmtpLink, log: ConnectionLog, record: SmtpRecord, responder: Responder, state: SessionState
    ) -> None:
        self._link = link
        self._log = log
        self._record = record
        self._responder = responder
        self._state = state

    async def mail(self, argument: str) -> None:
        """Begin a transaction."""
        if not self._state.is_greeted:
            raise CommandRefused("503 5.5.1 EHLO first")
        if self._state.transaction is not None:
            raise CommandRefused("503 5.5.1 Nested MAIL")
        if self._state.settings.require_auth and self._state.username is None:
            raise CommandRefused("530 5.7.0 Authentication required")
        path = parse_path(argument, "FROM")
        check_parameters(path, MAIL_PARAMETERS, self._state.announced)
        check_charset(path.address, is_utf8_agreed="SMTPUTF8" in path.parameters)
        if self._is_too_big(int(path.parameters.get("SIZE", "0"))):
            raise CommandRefused("552 5.3.4 Message too big")
        turn = await self._responder.decide("MAIL", "250 2.1.0 Sender ok", text=path.address)
        if turn.is_accepted:
            self._state.transaction = Transaction(path.address, path.parameters)
            self._state.transactions_so_far += 1
            self._log.open_transaction()
        await self._responder.send(turn)

    async def rcpt(self, argument: str) -> None:
        """Add a recipient."""
        transaction = self._expect_transaction()
        path = parse_path(argument, "TO")
        check_parameters(path, RCPT_PARAMETERS, self._state.announced)
        check_charset(path.address, is_utf8_agreed="SMTPUTF8" in transaction.parameters)
        turn = await self._responder.decide("RCPT", "250 2.1.5 Recipient ok", text=path.address)
        if turn.is_accepted:
            transaction.recipients.append(path.address)
        await self._responder.send(turn)

    async def data(self, argument: str) -> None:
        """Take the message."""
        refuse_argument("DATA", argument)
        transaction = self._expect_transaction()
        if not transaction.recipients:
            raise CommandRefused("554 5.5.1 No valid recipients")
        turn = await self._responder.decide("DATA", "354 End with a dot alone on a line", text=transaction.addresses)
        await self._responder.send(turn)
        if turn.is_accepted:
            await self._take_message(transaction)

    async def rset(self, argument: str) -> None:
        """Forget the transaction."""
        refuse_argument("RSET", argument)
        turn = await self._responder.decide("RSET", "250 2.0.0 Forgotten")
        if turn.is_accepted:
            self.abandon()
        await self._responder.send(turn)

    def abandon(self) -> None:
        """End the transaction, if there is one, without a message."""
        self._state.transaction = None
        self._log.close_transaction()

    async def _take_message(self, transaction: Transaction) -> None:
        text = await self._receive_text(transaction)
        for violation in find_violations(text, is_8bit_agreed="8BITMIME" in transaction.parameters.get("BODY", "")):
            self._log.note_violation(violation)
        data = unstuff(text)
        verdict = "552 5.3.4 Message too big" if self._is_too_big(len(data)) else "250 2.0.0 Accepted"
        turn = await self._responder.decide("END_OF_DATA", verdict, text=transaction.addresses)
        if turn.is_accepted:
            self._record.add_message(
                MessageRecord(
                    connection_id=self._log.id,
                    accepted_at=time.monotonic(),
                    sender=transaction.sender,
                    parameters=transaction.parameters,
                    recipients=tuple(transaction.recipients),
                    username=self._state.username,
                    data=data,
                )
            )
        await self._responder.send(turn)

    async def _receive_text(self, transaction: Transaction) -> bytes:
        text = bytearray(b"\r\n")  # the CRLF of DATA itself: a dot may be all that comes (RFC 5321 §4.1.1.4)
        received = searched = 0
        while (end := text.find(END_OF_DATA, searched)) < 0:
            searched = max(0, len(text) - len(END_OF_DATA) + 1)
            chunk = await self._link.read()
            before, received = received, received + len(chunk)
            turn = await self._responder.decide(
                "BODY", text=transaction.addresses, octets=received, octets_before=before
            )
            await self._responder.send(turn)
            text += chunk
        self._link.unread(bytes(text[end + len(END_OF_DATA) :]))
        return bytes(text[2 : end + 2])

    def _expect_transaction(self) -> Transaction:
        if self._state.transaction is None:
            raise CommandRefused("503 5.5.1 MAIL first")
        return self._state.transaction

    def _is_too_big(self, octets: int) -> bool:
        limit = self._state.settings.size_limit
        return limit is not None and octets > limit
