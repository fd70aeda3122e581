"""One conversation of the scripted SMTP server: greeting, EHLO, STARTTLS, AUTH, and the order of commands (RFC 5321).

At every point the script is asked first; only then is an answer given and the state changed. The commands of a
transaction are in `smtp_transaction`, how an answer is given in `smtp_responder`. `smtp_server` runs one session for each
connection.
"""

from collections.abc import Awaitable, Callable

from postroom.testing.smtp_auth import READERS, ExchangeRefused, encode_challenge
from postroom.testing.smtp_link import HandshakeFailed, LinkGone, SmtpLink
from postroom.testing.smtp_record import AuthAttempt, ConnectionLog, SmtpRecord
from postroom.testing.smtp_responder import HungUp, Responder
from postroom.testing.smtp_script import Parting, Script, encode_reply
from postroom.testing.smtp_state import SessionState, SmtpSettings
from postroom.testing.smtp_syntax import CommandRefused, refuse_argument
from postroom.testing.smtp_transaction import TransactionCommands

# RFC 5321 §4.5.3.1.4 asks for 512 and more for each extension; Postfix takes 2048.
LONGEST_COMMAND = 2048

# RFC 4954 §4.
LONGEST_AUTH_LINE = 12288

# The last in a group of pipelined commands, because what follows depends on the answer (RFC 2920 §3.1; STARTTLS:
# RFC 3207 §4; AUTH: RFC 4954 §4).
LAST_IN_GROUP = {"EHLO", "HELO", "STARTTLS", "AUTH", "DATA", "NOOP", "QUIT", "VRFY"}

CONTROL_CHARACTERS = (b"\r", b"\n", b"\0")


class SmtpSession:
    """The conversation over one link."""

    def __init__(
        self, link: SmtpLink, log: ConnectionLog, record: SmtpRecord, script: Script, settings: SmtpSettings
    ) -> None:
        self._link = link
        self._log = log
        self._state = SessionState(settings)
        self._responder = Responder(link, log, script, self._state)
        self._transaction = TransactionCommands(link, log, record, self._responder, self._state)
        self._handlers: dict[str, Callable[[str], Awaitable[None]]] = {
            "EHLO": self._ehlo,
            "HELO": self._helo,
            "STARTTLS": self._starttls,
            "AUTH": self._auth,
            "MAIL": self._transaction.mail,
            "RCPT": self._transaction.rcpt,
            "DATA": self._transaction.data,
            "RSET": self._transaction.rset,
            "NOOP": self._noop,
            "QUIT": self._quit,
            "VRFY": self._vrfy,
        }

    async def run(self) -> None:
        """Hold the conversation to its end, and end the connection."""
        try:
            await self._open()
            while True:
                await self._obey(await self._responder.read_line(LONGEST_COMMAND))
        except LinkGone:
            self._log.close("client_closed", tls_failure=self._link.tls_failure)
        except HandshakeFailed as failure:
            self._log.close("client_closed", tls_failure=str(failure))
        except HungUp as hang_up:
            await self._part(hang_up.parting)
        finally:
            # What is left is a server that stops, or a fault in a rule's predicate.
            self._log.close("server_dropped")
            self._link.drop()

    def drop(self, *last_words: str) -> None:
        """End the connection from outside, whatever is going on."""
        self._log.close("server_dropped")
        self._link.write(encode_reply(last_words))
        self._link.drop()

    async def _open(self) -> None:
        await self._responder.take_turn("CONNECT")
        if self._state.settings.tls == "implicit":
            await self._secure()
        turn = await self._responder.decide("GREETING", "220 localhost ESMTP Postroom test server")
        self._state.is_welcome = turn.is_accepted
        await self._responder.send(turn)

    async def _obey(self, line: bytes) -> None:
        text = line.decode(errors="backslashreplace")
        verb, _, argument = text.partition(" ")
        verb = verb.upper()
        self._log.note_command(text)
        if self._link.has_input and (verb in LAST_IN_GROUP or "PIPELINING" not in self._state.announced):
            self._responder.hang_up("554 5.5.0 Synchronization error", violation="input behind a command, out of turn")
        try:
            await self._find_handler(verb, line)(argument)
        except (CommandRefused, ExchangeRefused) as refusal:
            self._responder.say(str(refusal))

    def _find_handler(self, verb: str, line: bytes) -> Callable[[str], Awaitable[None]]:
        if any(control in line for control in CONTROL_CHARACTERS):
            self._log.note_violation("bare CR, bare LF or NUL in a command")
            raise CommandRefused("500 5.5.2 Control character in a command")
        if verb not in self._handlers:
            raise CommandRefused("500 5.5.2 Command not recognized")
        if not self._state.is_welcome and verb != "QUIT":
            raise CommandRefused("503 5.5.1 No service here")  # RFC 5321 §3.1
        return self._handlers[verb]

    # Hello.

    async def _ehlo(self, domain: str) -> None:
        _check_domain(domain)
        *lines, last = ("localhost", *self._state.keywords)
        turn = await self._responder.decide("EHLO", *(f"250-{line}" for line in lines), f"250 {last}", text=domain)
        self._state.is_greeted |= turn.is_accepted
        self._transaction.abandon()  # RFC 5321 §4.1.4: as RSET
        await self._responder.send(turn)

    async def _helo(self, domain: str) -> None:
        _check_domain(domain)
        turn = await self._responder.decide("HELO", "250 localhost", text=domain)
        self._state.is_greeted |= turn.is_accepted
        self._transaction.abandon()
        await self._responder.send(turn)

    # TLS.

    async def _starttls(self, argument: str) -> None:
        refuse_argument("STARTTLS", argument)
        if self._state.settings.tls != "starttls":
            raise CommandRefused("502 5.5.1 STARTTLS is not offered")
        if self._state.is_encrypted:
            raise CommandRefused("503 5.5.1 TLS stands already")
        turn = await self._responder.decide("STARTTLS", "220 2.0.0 Go ahead")
        await self._responder.send(turn)
        if turn.is_accepted:
            await self._secure()
            self._state.is_greeted = False  # RFC 3207 §4.2: what was said in the clear is forgotten
            self._state.username = None
            self._transaction.abandon()

    async def _secure(self) -> None:
        await self._responder.take_turn("TLS")
        context = self._state.settings.ssl_context
        assert context is not None, "SmtpServer sees to it"
        self._log.note_tls(await self._link.start_tls(context))
        self._state.is_encrypted = True

    # Login.

    async def _auth(self, argument: str) -> None:
        mechanism, _, initial = argument.partition(" ")
        attempt = AuthAttempt(mechanism.upper())
        try:
            self._check_auth(attempt.mechanism)
            username, password = await READERS[attempt.mechanism](initial.encode(), self._ask)
            attempt = AuthAttempt(attempt.mechanism, username)
            is_right = self._state.settings.users.get(username) == password
            turn = await self._responder.decide(
                "AUTH",
                "235 2.7.0 Welcome" if is_right else "535 5.7.8 Wrong user name or password",
                text=f"{attempt.mechanism} {username}",
            )
            if turn.is_accepted:
                attempt = AuthAttempt(attempt.mechanism, username, has_succeeded=True)
                self._state.username = username
        finally:
            self._log.note_auth(attempt)  # one for each command, however it ended, and before the client knows
        await self._responder.send(turn)

    def _check_auth(self, mechanism: str) -> None:
        if not self._state.settings.users:
            raise ExchangeRefused("503 5.5.1 AUTH is not offered")
        if self._state.username is not None or self._state.transaction is not None or not self._state.is_greeted:
            raise ExchangeRefused("503 5.5.1 Not now")
        if mechanism not in self._state.settings.auth_mechanisms or mechanism not in READERS:
            raise ExchangeRefused("504 5.5.4 Mechanism not known")
        if not self._state.may_auth:
            raise ExchangeRefused("538 5.7.11 Encryption required")

    async def _ask(self, challenge: bytes) -> bytes:
        self._responder.say(encode_challenge(challenge))
        return await self._responder.read_line(LONGEST_AUTH_LINE)

    # The rest.

    async def _noop(self, argument: str) -> None:
        await self._responder.take_turn("NOOP", "250 2.0.0 Ok", text=argument)

    async def _vrfy(self, _argument: str) -> None:
        self._responder.say("252 2.5.2 Send, and see")

    async def _quit(self, argument: str) -> None:
        refuse_argument("QUIT", argument)
        turn = await self._responder.decide("QUIT", "221 2.0.0 Bye")
        self._log.close("quit")
        await self._responder.send(turn)
        raise HungUp("close")

    async def _part(self, parting: Parting) -> None:
        if parting == "close":
            await self._link.close()
        elif parting == "reset":
            self._link.reset()
        else:
            self._link.drop()


def _check_domain(domain: str) -> None:
    if not domain or not domain.isascii() or " " in domain:
        raise CommandRefused("501 5.5.4 One domain, please")
