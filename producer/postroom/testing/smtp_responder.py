"""How the test server comes to an answer and sends it: its own words, or what the script has for this moment.

An answer is given in two steps, so that the session can act in between: `decide` waits if the script says so and tells
whether the client is let through; `send` puts the reply on the wire and ends the connection if that is the plan.
"""

import asyncio
import re
from dataclasses import dataclass
from typing import NoReturn

from postroom.testing.smtp_link import LineTooLong, LinkGone, SmtpLink
from postroom.testing.smtp_record import ConnectionLog
from postroom.testing.smtp_script import Effect, Moment, Parting, Phase, Script, encode_reply
from postroom.testing.smtp_state import SessionState

# The enhanced code of a reply line (RFC 2034 §4), with the blank behind it.
ENHANCED_CODE = re.compile(r"(?<=^\d{3}[ -])\d\.\d{1,3}\.\d{1,3} ")


class HungUp(Exception):
    """The way out of a conversation that the server ends."""

    def __init__(self, parting: Parting) -> None:
        super().__init__(parting)
        self.parting: Parting = parting


@dataclass(frozen=True)
class Turn:
    """What has been decided for one moment."""

    phase: Phase
    reply: bytes
    effect: Effect
    is_accepted: bool


class Responder:
    """The server's voice on one connection."""

    def __init__(self, link: SmtpLink, log: ConnectionLog, script: Script, state: SessionState) -> None:
        self._link = link
        self._log = log
        self._script = script
        self._state = state

    async def take_turn(self, phase: Phase, *own: str, text: str = "") -> None:
        """Answer where nothing hangs on it."""
        await self.send(await self.decide(phase, *own, text=text))

    async def decide(self, phase: Phase, *own: str, text: str = "", octets: int = 0, octets_before: int = 0) -> Turn:
        """Settle what is answered at this moment: our own lines, unless the script has something else.

        Raises:
            LinkGone: the client went while the script made it wait.
        """
        transaction = self._state.transaction
        effect = self._script.choose(
            Moment(
                phase=phase,
                connection=self._log.id,
                text=text,
                transaction=self._state.transactions_so_far,
                recipients=tuple(transaction.recipients) if transaction else (),
                octets=octets,
                octets_before=octets_before,
                is_encrypted=self._state.is_encrypted,
            )
        )
        if not effect.is_accepting:
            await self._wait(effect)
        reply = encode_reply(map(self._spell, own)) if effect.answer is None else effect.answer
        return Turn(phase, reply, effect, is_accepted=effect.is_accepting or _is_positive(reply))

    async def send(self, turn: Turn) -> None:
        """Put the reply on the wire.

        Raises:
            HungUp: the script ends the connection here.
            LinkGone: the client went while the script made it wait.
        """
        effect = turn.effect
        if effect.is_accepting:
            await self._wait(effect)
        # Noted before the reply leaves: who has read it may look at the record at once.
        if turn.phase == "END_OF_DATA":
            self._state.transaction = None
            self._log.close_transaction()
        if effect.parting is not None:
            self._log.close("server_dropped")
        octets = turn.reply + effect.extra
        if effect.is_split:
            await self._link.write_split(octets)
        else:
            self._link.write(octets)
        if effect.parting is not None:
            raise HungUp(effect.parting)

    def say(self, line: str) -> None:
        """Answer with one line, where the script has no say: out of turn, or against the syntax."""
        self._link.write(encode_reply([self._spell(line)]))

    def hang_up(self, line: str, violation: str) -> NoReturn:
        """Answer a client that broke the protocol, and end the connection."""
        self._log.note_violation(violation)
        self._log.close("server_dropped")
        self.say(line)
        raise HungUp("close")

    async def read_line(self, most_octets: int) -> bytes:
        """Return the client's next line, without CRLF."""
        try:
            return await self._link.read_line(most_octets)
        except LineTooLong:
            self.hang_up("500 5.5.2 Line too long", violation="command line too long")

    async def _wait(self, effect: Effect) -> None:
        if effect.is_stalled:
            await self._link.wait_until_gone()
            raise LinkGone
        if effect.delay_s:
            await self._link.wait_for(asyncio.sleep(effect.delay_s))
        if effect.gate is not None:
            await self._link.wait_for(effect.gate.wait())

    def _spell(self, line: str) -> str:
        return line if "ENHANCEDSTATUSCODES" in self._state.announced else ENHANCED_CODE.sub("", line, count=1)


def _is_positive(reply: bytes) -> bool:
    # The last complete line decides; half a line is no answer.
    lines = reply.split(b"\r\n")[:-1]
    return bool(lines) and lines[-1][:1] in {b"2", b"3"}
