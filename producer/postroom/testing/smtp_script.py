"""What the scripted SMTP server does other than serve: rules that read as a sentence, and the script that picks one.

A rule says at which point of the conversation it applies, which occurrences it takes, and what happens instead of the
server's own answer: `at("RCPT").matching("grey@").reply("450 4.7.1 later").times(1)`. Rules are immutable values; their
counters and gates live in `Script`. No I/O here: `smtp_session` asks the script at every point and does what it says.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Literal, Self, get_args

Phase = Literal[
    "CONNECT",  # accepted; not a byte exchanged, TLS included
    "TLS",  # before the handshake, implicit or after STARTTLS
    "GREETING",
    "EHLO",
    "HELO",
    "STARTTLS",
    "AUTH",  # the reply that ends the exchange; the credentials have been received
    "MAIL",
    "RCPT",
    "DATA",
    "BODY",  # while the message is being received
    "END_OF_DATA",  # after the dot
    "RSET",
    "NOOP",
    "QUIT",
]
Parting = Literal["close", "drop", "reset"]


@dataclass(frozen=True, kw_only=True)
class Moment:
    """One point of one conversation, as a rule and its predicate see it."""

    phase: Phase
    connection: int = 1
    """Number of the connection, from 1, counted over the life of the server."""
    text: str = ""
    """EHLO and HELO: the domain; AUTH: mechanism and user name; MAIL and RCPT: the address; DATA, BODY and END_OF_DATA:
    all addresses of the envelope."""
    transaction: int = 0
    """How many MAIL commands this connection has had accepted."""
    recipients: tuple[str, ...] = ()
    """The recipients accepted so far in this transaction."""
    octets: int = 0
    """BODY: how much of the message has arrived, this chunk included."""
    octets_before: int = 0
    is_encrypted: bool = False


@dataclass(frozen=True, kw_only=True)
class Effect:
    """What happens at a moment; as it stands, the server's own answer and nothing else."""

    answer: bytes | None = None
    """Sent instead of the server's own answer; empty means silence."""
    extra: bytes = b""
    delay_s: float = 0.0
    gate: asyncio.Event | None = None
    is_held: bool = False
    is_stalled: bool = False
    is_split: bool = False
    is_accepting: bool = False
    parting: Parting | None = None


OWN_ANSWER = Effect()


@dataclass(frozen=True)
class Rule:
    """A fault at one point of the conversation; made by `at`, narrowed and filled in by the methods, in any order."""

    phase: Phase
    substring: str = ""
    predicate: Callable[[Moment], bool] | None = None
    connection: int | None = None
    first: int = 1
    limit: int | None = None
    octets: int = 1
    effect: Effect = field(default=OWN_ANSWER)

    # Which occurrences.

    def matching(self, substring: str) -> Self:
        """Only where an address (EHLO: the domain; AUTH: mechanism and user) contains `substring`; case counts."""
        return replace(self, substring=substring)

    def when(self, predicate: Callable[[Moment], bool]) -> Self:
        """Only where `predicate` says so; it runs in the server's thread."""
        return replace(self, predicate=predicate)

    def on_connection(self, number: int) -> Self:
        """Only on the connection with this number, from 1."""
        return replace(self, connection=number)

    def nth(self, number: int) -> Self:
        """Only the occurrence with this number, from 1; `nth(3).times(2)` takes the third and the fourth."""
        return replace(self, first=number, limit=1)

    def times(self, count: int) -> Self:
        """At most `count` times; without it, always."""
        return replace(self, limit=count)

    def after_octets(self, count: int) -> Self:
        """BODY: once this much of the message has arrived; without it, at the first octet."""
        return replace(self, octets=count)

    # What happens there.

    def reply(self, *lines: str) -> Self:
        """Answer with these lines as they stand: `reply("550-5.1.1 Who?", "550 5.1.1 No such user")`.

        A first digit of 2 or 3 lets the client through, as a real reply would. A 421 does not close by itself: see
        `reply_then_close`.
        """
        return self.send(encode_reply(lines))

    def reply_then_close(self, *lines: str) -> Self:
        """Answer, then close the connection in good order."""
        return self._with(answer=encode_reply(lines), parting="close")

    def send(self, octets: bytes) -> Self:
        """Answer with raw octets: garbage, another protocol's banner, half a line, or nothing at all."""
        return self._with(answer=octets)

    def inject(self, *lines: str) -> Self:
        """Put unsolicited reply lines behind the answer, in the same segment; at STARTTLS that is response injection."""
        return self._with(extra=encode_reply(lines))

    def split(self) -> Self:
        """Send the answer one octet at a time."""
        return self._with(is_split=True)

    def delay(self, delay_s: float) -> Self:
        """Answer only after this time."""
        return self._with(delay_s=delay_s)

    def hold(self) -> Self:
        """Answer only after `SmtpServer.release`."""
        return self._with(is_held=True)

    def stall(self) -> Self:
        """Never answer; the connection stays open until the client closes it or the server stops."""
        return self._with(is_stalled=True)

    def drop(self) -> Self:
        """Close without an answer (TCP FIN; over TLS without close_notify)."""
        return self._with(answer=b"", parting="drop")

    def reset(self) -> Self:
        """Reset the connection without an answer (TCP RST)."""
        return self._with(answer=b"", parting="reset")

    def accepting(self) -> Self:
        """Take the command for good before anything else happens, whatever the client gets to see of it.

        At END_OF_DATA this is the ambiguous case: `accepting().stall()` records the message as accepted and never says
        so.
        """
        return self._with(is_accepting=True)

    def accept_then_drop(self) -> Self:
        """Take the command for good and close without an answer: at END_OF_DATA, accepted but never answered."""
        return self.accepting().drop()

    def _with(self, **changes: object) -> Self:
        return replace(self, effect=replace(self.effect, **changes))  # type: ignore[arg-type]  # names are ours, above

    def applies_to(self, moment: Moment) -> bool:
        """Tell whether this is the rule's place, leaving aside how often it has been there."""
        return (
            self.phase == moment.phase
            and self.substring in moment.text
            and self.connection in {None, moment.connection}
            and (moment.phase != "BODY" or moment.octets_before < max(1, self.octets) <= moment.octets)
            and (self.predicate is None or self.predicate(moment))
        )


def at(phase: Phase) -> Rule:
    """Begin a rule for one point of the conversation.

    Raises:
        ValueError: there is no such point.
    """
    if phase not in get_args(Phase):
        raise ValueError(f"no such phase: {phase!r}; there are {', '.join(get_args(Phase))}")
    return Rule(phase)


class Script:
    """The rules in force, with their counters and gates. Used only from the server's own thread."""

    def __init__(self, rules: Iterable[Rule] = ()) -> None:
        self._active = [_ActiveRule(rule) for rule in rules]

    def choose(self, moment: Moment) -> Effect:
        """Return what happens now: the first rule in order that applies and is not used up, else our own answer."""
        # Every rule counts every occurrence, so that `nth` means the same wherever the rule stands in the list.
        candidates = [active for active in self._active if active.counts(moment)]
        return candidates[0].fire() if candidates else OWN_ANSWER

    def add(self, rules: Iterable[Rule]) -> None:
        """Put rules behind those in force."""
        self._active += [_ActiveRule(rule) for rule in rules]

    def clear(self) -> None:
        """Forget all rules, and let go what they hold."""
        self.release()
        self._active.clear()

    def release(self) -> None:
        """Let go what the rules in force hold, now and later."""
        for active in self._active:
            active.gate.set()

    def rearm(self) -> None:
        """Prepare for another event loop: a gate belongs to the loop that waited at it."""
        for active in self._active:
            active.gate = _gate(is_open=active.gate.is_set())


class _ActiveRule:
    def __init__(self, rule: Rule) -> None:
        self.gate = _gate(is_open=False)
        self._rule = rule
        self._seen = 0
        self._fired = 0

    def counts(self, moment: Moment) -> bool:
        """Count the moment if it is this rule's place, and tell whether the rule can take it."""
        if not self._rule.applies_to(moment):
            return False
        self._seen += 1
        return self._seen >= self._rule.first and (self._rule.limit is None or self._fired < self._rule.limit)

    def fire(self) -> Effect:
        self._fired += 1
        effect = self._rule.effect
        return replace(effect, gate=self.gate) if effect.is_held else effect


def encode_reply(lines: Iterable[str]) -> bytes:
    """Return reply lines as octets, each ended by CRLF."""
    return b"".join(line.encode() + b"\r\n" for line in lines)


def _gate(*, is_open: bool) -> asyncio.Event:
    gate = asyncio.Event()
    if is_open:
        gate.set()
    return gate
