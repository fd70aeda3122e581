"""One mail transaction as a state machine: which commands to write, what their replies mean, and how far it has got.

Owns MAIL, RCPT and DATA, in one group where the server announces PIPELINING (RFC 2920) and one by one where it does
not. No I/O: a session writes what it is given here and brings back the replies. At most one message of a connection is
ever in doubt, because nothing of the next is written before the last reply to this one.

    IDLE -> ENVELOPE -> BODY -> COMMITTED -> REPLIED        (any of them may be the last)
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from postroom_contract.error_codes import ErrorCode
from postroom_contract.errors import PostroomError
from postroom_worker.smtp.envelope import END_OF_DATA, Envelope, stuff_dots
from postroom_worker.smtp.extensions import Extensions
from postroom_worker.smtp.place import Place
from postroom_worker.smtp.reply import ProtocolViolation, Reply
from postroom_worker.smtp.report import Phase, TransactionReport

# A group and its replies should fit the windows of both sides; Postfix flushes at 4 kB of commands.
MOST_COMMANDS_IN_A_GROUP = 100

_TOO_MANY_CODES = {451, 452, 552}


class _Command(NamedTuple):
    verb: str
    line: bytes
    recipient: str = ""


class Transaction:
    """The conversation about one message."""

    def __init__(
        self, envelope: Envelope, content: bytes, extensions: Extensions, place: Place, *, most_recipients: int = 50
    ) -> None:
        """Prepare it; nothing is sent when this raises.

        Raises:
            SmtpCommandException: the server said beforehand that it cannot take this message.
            ValueError: the message's line ends are not CRLF.
        """
        _refuse_beforehand(envelope, content, extensions, place)
        self.phase = Phase.IDLE
        self.wire = stuff_dots(content)
        self._place = place
        self._group_size = MOST_COMMANDS_IN_A_GROUP if extensions.pipelining else 1
        self._recipients: dict[str, Reply | None] = dict.fromkeys(envelope.recipients)
        tried = envelope.recipients[: min(most_recipients, extensions.most_recipients or most_recipients)]
        self._unsent = deque(_commands(envelope.sender, tried, _mail_parameters(envelope, content, extensions)))
        self._awaited: deque[_Command] = deque()
        self._mail: Reply | None = None
        self._data: Reply | None = None
        self._final: Reply | None = None
        self._lost: PostroomError | None = None
        self._is_connection_usable = True

    @property
    def awaits(self) -> str | None:
        """The command whose reply comes next (`.` for the message itself), or None."""
        if self.phase in {Phase.BODY, Phase.COMMITTED}:
            return "." if self._final is None else None
        return self._awaited[0].verb if self._awaited else None

    @property
    def outstanding(self) -> int:
        """How many replies are still to come."""
        return len(self._awaited) or int(self.awaits is not None)

    @property
    def awaits_go_ahead(self) -> bool:
        """Whether the reply to DATA is still to come: a server may refuse the message in one breath with its 354."""
        return any(command.verb == "DATA" for command in self._awaited)

    @property
    def wants_content(self) -> bool:
        """Whether the server waits for the message now, and somebody is there to get it."""
        is_invited = self.phase is Phase.ENVELOPE and self._data is not None and self._data.wants_more
        return is_invited and self._has_admitted and self._lost is None

    @property
    def is_over(self) -> bool:
        """Whether there is nothing left to say or to hear."""
        if self._lost is not None or self._final is not None:
            return True
        return self.phase is Phase.ENVELOPE and not (self._awaited or self._unsent or self.wants_content)

    @property
    def needs_reset(self) -> bool:
        """Whether the server still holds an envelope (RFC 5321 section 4.1.1.5)."""
        return self.phase is not Phase.REPLIED

    def next_group(self) -> bytes:
        """Return the commands to write now, all in one go; nothing while replies are still to come."""
        if self._awaited or self.is_over or self.phase not in {Phase.IDLE, Phase.ENVELOPE}:
            return b""
        self.phase = Phase.ENVELOPE
        group = [self._unsent.popleft() for _ in range(min(self._group_size, len(self._unsent)))]
        self._awaited.extend(group)
        return b"".join(command.line for command in group)

    def start_content(self) -> bytes:
        """Return the message to write; all but its last octets may go at once."""
        if not self.wants_content:
            raise RuntimeError("the server has not asked for the message")
        self.phase = Phase.BODY
        return self.wire

    def commit(self) -> None:
        """Note that the last octets are about to be handed over: from now on the server may have the message."""
        if self.phase is not Phase.BODY:
            raise RuntimeError("there is no message on its way")
        self.phase = Phase.COMMITTED

    def receive(self, reply: Reply) -> None:
        """Take the next reply.

        Raises:
            ProtocolViolation: it answers nothing, or not in a way that means anything; the connection is of no more use.
        """
        if reply.is_goodbye:
            self._is_connection_usable = False
        if self.phase in {Phase.BODY, Phase.COMMITTED}:
            self._receive_final(reply)
        elif self._awaited:
            self._receive_in_group(self._awaited.popleft(), reply)
            self._drop_what_is_pointless()
        else:
            raise ProtocolViolation("a reply to nothing")
        if reply.is_goodbye and not self.is_over:
            self.lose("disconnected", reply)

    def lose(self, reason: str, reply: Reply | None = None) -> None:
        """Note that the connection is gone: what is not answered by now never will be."""
        self._is_connection_usable = False
        if self.is_over:
            return
        # After the commit "nothing was delivered" would be a guess, and so would be that sending again is safe.
        is_unknown = self.phase is Phase.COMMITTED
        code = ErrorCode.UNKNOWN_OUTCOME if is_unknown else ErrorCode.CONNECTION_LOST
        self._lost = self._place.failure(code, phase=self.phase, reason=reason, retryable=not is_unknown, reply=reply)

    def report(self) -> TransactionReport:
        """Return what it came to so far."""
        return TransactionReport(
            phase=self.phase,
            mail=self._mail,
            recipients=dict(self._recipients),
            data=self._data,
            final=self._final,
            lost=self._lost,
            connection_usable=self._is_connection_usable and self.is_over,
        )

    @property
    def _has_admitted(self) -> bool:
        return any(reply is not None and reply.is_positive for reply in self._recipients.values())

    def _receive_in_group(self, command: _Command, reply: Reply) -> None:
        if reply.wants_more and command.verb != "DATA":
            raise ProtocolViolation(f"{reply.code} to {command.verb}")
        if command.verb == "MAIL":
            self._mail = reply
        elif command.verb == "RCPT":
            self._recipients[command.recipient] = None if self._is_too_many(reply) else reply
        elif command.verb == "DATA":
            self._receive_data(reply)
        # What the server says to a lone dot decides nothing (RFC 2920 section 3.1).

    def _receive_data(self, reply: Reply) -> None:
        if reply.is_positive:
            raise ProtocolViolation(f"{reply.code} to DATA")
        self._data = reply
        if not reply.wants_more:
            return
        is_refused = self._mail is None or self._mail.is_negative
        if self._has_admitted and is_refused:
            # Neither message nor lone dot may follow: the one was refused, the other would deliver an empty mail.
            raise ProtocolViolation("354 after MAIL was refused")
        if not self._has_admitted:
            self._unsent.append(_Command(".", END_OF_DATA))

    def _receive_final(self, reply: Reply) -> None:
        if self.phase is Phase.COMMITTED:
            if reply.wants_more:
                raise ProtocolViolation(f"{reply.code} to the end of the message")
            self._final, self.phase = reply, Phase.REPLIED
        elif reply.is_negative:
            # Refused before the end, for its size perhaps: the terminator never leaves, so nothing can be delivered.
            self._final, self._is_connection_usable = reply, False
        else:
            raise ProtocolViolation(f"{reply.code} in the middle of the message")

    def _drop_what_is_pointless(self) -> None:
        """Do not go on with an envelope that has been refused."""
        is_refused = self._mail is not None and self._mail.is_negative
        is_for_nobody = bool(self._unsent) and self._unsent[0].verb == "DATA" and not self._has_admitted
        if not self._awaited and self._data is None and (is_refused or is_for_nobody):
            self._unsent.clear()

    def _is_too_many(self, reply: Reply) -> bool:
        """Whether this recipient just did not fit: later ones did not either, and the next transaction takes them.

        RFC 5321 section 4.5.3.1.10 has 452 for it and wants old servers' 552 read the same; Dovecot says 451 4.5.3. Only
        where somebody was accepted before: otherwise splitting would get us nowhere.
        """
        if not self._has_admitted or reply.code not in _TOO_MANY_CODES:
            return False
        return reply.enhanced.endswith(".5.3") if reply.enhanced else reply.code in {452, 552}


def _refuse_beforehand(envelope: Envelope, content: bytes, extensions: Extensions, place: Place) -> None:
    limit = extensions.largest_message
    if limit is not None and len(content) > limit:
        # RFC 1870 section 6.1: do not even begin.
        told: dict[str, object] = {"smtp_code": 552, "enhanced_code": "5.3.4", "limit": limit}
        raise place.failure(ErrorCode.MESSAGE_TOO_LARGE, phase=Phase.IDLE, reason="too_large", more=told)
    if envelope.needs_smtputf8 and not extensions.smtputf8:
        # RFC 6531 section 3.2; the code of section 3.5.
        told = {"smtp_code": 553, "enhanced_code": "5.6.7", "command": "MAIL"}
        raise place.failure(ErrorCode.COMMAND_REFUSED, phase=Phase.IDLE, reason="needs_smtputf8", more=told)


def _mail_parameters(envelope: Envelope, content: bytes, extensions: Extensions) -> str:
    parameters = ""
    if extensions.announces_size:
        parameters += f" SIZE={len(content)}"  # without the doubled dots (RFC 1870 section 5)
    if envelope.needs_smtputf8:
        parameters += " SMTPUTF8"
    if extensions.eight_bit_mime and not content.isascii():
        parameters += " BODY=8BITMIME"
    return parameters


def _commands(sender: str, recipients: tuple[str, ...], parameters: str) -> list[_Command]:
    return [
        _Command("MAIL", f"MAIL FROM:<{sender}>{parameters}\r\n".encode()),
        *(_Command("RCPT", f"RCPT TO:<{recipient}>\r\n".encode(), recipient) for recipient in recipients),
        _Command("DATA", b"DATA\r\n"),
    ]
