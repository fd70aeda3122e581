"""What a run came to: which mails are lost, duplicated, flagged without a cause, or told of otherwise than they went.

Pure: it compares what was handed over and what the sender was told in the end with what the SMTP server wrote down. The
server's word counts. Nothing is read, sent or printed here; `run` calls it, `report` prints what it says.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from tests.chaos.journal import Transaction

# A connection that cannot be had or breaks is tried so often (README.md, "Errors").
BUDGET_ATTEMPTS = 5
# An answer that was written so shortly before a worker was struck may not have been read, or its outcome not been stored.
UNREAD_S = 1.0
UNREAD = "answered when its worker was struck"
# Workers need so long to find a Redis that is back.
RECONNECT_S = 5.0
# From here on a reply is a refusal for good (RFC 5321 section 4.2.1).
FIRST_PERMANENT = 500


class Handover(StrEnum):
    """What the sender knows of handing a mail over."""

    RECEIPT = "receipt"
    MAYBE = "maybe"  # BrokerUnavailable, and it may be queued
    REFUSED = "refused"  # BrokerUnavailable, and it is not queued


@dataclass(frozen=True)
class Posted:
    """A mail that somebody tried to hand over."""

    number: int
    recipients: tuple[str, ...]
    handover: Handover = Handover.RECEIPT


@dataclass(frozen=True)
class Told:
    """What a sender learns who asks for the outcome after all is over."""

    state: str
    accepted: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    attempts: int = 1
    is_flagged: bool = False
    code: int | None = None


@dataclass(frozen=True)
class Struck:
    """A worker process was killed, or stopped for longer than its lease and then woken."""

    worker: str
    at: float
    until: float = math.inf


def widened(struck: Sequence[Struck], outages: Sequence[tuple[float, float]]) -> list[Struck]:
    """The strikes, begun earlier where Redis was away before: from then on no worker could store what it was answered."""
    return [
        replace(
            strike, at=min([strike.at, *(gone for gone, back in outages if gone <= strike.at <= back + RECONNECT_S)])
        )
        for strike in struck
    ]


@dataclass
class Judgement:
    """Numbers of mails, by what is wrong with them; contradictions in words."""

    receipts: int = 0
    maybe: int = 0
    maybe_sent: int = 0
    refused: int = 0
    accepted_messages: int = 0
    accepted_distinct: int = 0
    lost: list[int] = field(default_factory=list)
    duplicated: list[tuple[int, str]] = field(default_factory=list)
    duplicated_without_flag: list[tuple[int, str]] = field(default_factory=list)
    flagged: list[int] = field(default_factory=list)
    # Of these the log shows at least something like a cause: how many, by what it shows.
    flagged_without_cause: dict[int, str] = field(default_factory=dict)
    open_after_last_byte: int = 0
    # Of these, those that the worker's end broke, or its connection's, and not the server.
    open_at_workers_end: int = 0
    contradictions: list[tuple[int, str]] = field(default_factory=list)
    unfinished: list[int] = field(default_factory=list)
    spent_budgets: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)


def judge(
    posted: Iterable[Posted],
    transactions: Sequence[Transaction],
    told: Mapping[int, Told],
    struck: Sequence[Struck] = (),
) -> Judgement:
    """Compare.

    Args:
        posted: every mail that was to be handed over.
        transactions: the server's journal.
        told: the outcome of each mail that has one.
        struck: when which worker was killed or paused.
    """
    by_mail: dict[int, list[Transaction]] = defaultdict(list)
    for transaction in transactions:
        by_mail[transaction.mail].append(transaction)
    strikes: dict[str, list[Struck]] = defaultdict(list)
    for strike in struck:
        strikes[strike.worker].append(strike)
    took = [transaction for transaction in transactions if transaction.accepted_at is not None]
    judgement = Judgement(
        accepted_messages=len(took),
        accepted_distinct=len({transaction.mail for transaction in took}),
        open_after_last_byte=sum(transaction.is_open_after_last_byte for transaction in transactions),
        open_at_workers_end=sum(each.is_open_after_last_byte and not each.is_dropped for each in transactions),
    )
    for mail in posted:
        _Case(mail, by_mail[mail.number], told.get(mail.number), strikes).enter(judgement)
    return judgement


class _Case:
    """One mail before the judge."""

    def __init__(
        self,
        mail: Posted,
        transactions: Sequence[Transaction],
        told: Told | None,
        strikes: Mapping[str, Sequence[Struck]],
    ) -> None:
        self.mail = mail
        self.transactions = transactions
        self.told = told
        self.strikes = strikes
        taken = [each.admitted for each in transactions if each.accepted_at is not None]
        self.accepted = Counter(recipient for recipients in taken for recipient in recipients)
        self.refused = {
            recipient for each in transactions for recipient, code in _refusals(each).items() if code >= FIRST_PERMANENT
        }
        self.open = sum(each.is_open_after_last_byte for each in transactions)

    def enter(self, judgement: Judgement) -> None:
        number, told = self.mail.number, self.told
        self._count_handover(judgement)
        for recipient, times in self.accepted.items():
            if times > 1:
                judgement.duplicated.append((number, recipient))
                if told is None or not told.is_flagged:
                    judgement.duplicated_without_flag.append((number, recipient))
        judgement.contradictions += [(number, what) for what in self._general_contradictions()]
        if told is None:
            if self.mail.handover is Handover.RECEIPT:
                judgement.outcomes["unfinished"] += 1
                judgement.unfinished.append(number)
        else:
            judgement.outcomes[told.state if told.code is None else f"{told.state} {told.code}"] += 1
            judgement.contradictions += [(number, what) for what in self._contradictions(told)]
            judgement.spent_budgets += self._is_spent(told)
            if told.is_flagged:
                judgement.flagged.append(number)
                # An unknown outcome has an open transaction of its own; the flag needs another.
                if self.open < 1 + (told.state == "unknown"):
                    judgement.flagged_without_cause[number] = self._like_a_cause()
        if self.mail.handover is Handover.RECEIPT and self._is_lost():
            judgement.lost.append(number)

    def _count_handover(self, judgement: Judgement) -> None:
        judgement.receipts += self.mail.handover is Handover.RECEIPT
        judgement.refused += self.mail.handover is Handover.REFUSED
        if self.mail.handover is Handover.MAYBE:
            judgement.maybe += 1
            judgement.maybe_sent += bool(self.accepted)

    def _general_contradictions(self) -> Iterable[str]:
        if self.mail.handover is Handover.REFUSED and self.transactions:
            yield "sent although it was said not to be queued"
        if len({each.message_id for each in self.transactions if each.message_id}) > 1:
            yield "sent under two Message-IDs"
        if strangers := {*self.accepted} - {*self.mail.recipients}:
            yield f"sent to {len(strangers)} to whom it was not addressed"

    def _contradictions(self, told: Told) -> Iterable[str]:
        accepted = set(self.mail.recipients if told.state == "sent" else told.accepted)
        if never := accepted - {*self.accepted}:
            yield f"{told.state}: {len(never)} called accepted, never accepted by the server"
        if did := {*told.refused} & {*self.accepted}:
            yield f"{told.state}: {len(did)} called refused, accepted by the server"
        if told.state == "failed" and self.accepted:
            yield "failed although the server accepted it"
        if told.state == "failed" and not self.accepted and not self._is_justified():
            yield "failed, without a refusal by the server or a spent budget"
        if told.state == "partial" and not {*told.refused} <= self.refused:
            yield "partial: called refused, never refused by the server"
        if told.state == "unknown" and not self._is_justified():
            yield "unknown, though the server's log shows no transaction that broke with the message handed over"
        if told.state not in {"sent", "partial", "failed", "unknown"}:
            yield f"{told.state}, which nobody asked for"

    def _is_lost(self) -> bool:
        """Whether it got nowhere and nothing explains it; what the server refused for good has arrived and was not wanted."""
        return not (self.accepted or self._is_refused or self._is_justified())

    @property
    def _is_refused(self) -> bool:
        return {*self.mail.recipients} <= self.refused

    def _is_justified(self) -> bool:
        """Whether the server's log bears out an outcome without an acceptance."""
        if self.told is None:
            return False
        if self.told.state == "failed":
            return self._is_refused or self._is_spent(self.told)
        return self.told.state == "unknown" and (self.open > 0 or self._like_a_cause() != "nothing")

    def _is_spent(self, told: Told) -> bool:
        return told.state == "failed" and not self._is_refused and told.attempts >= BUDGET_ATTEMPTS

    def _like_a_cause(self) -> str:
        """What the log shows that is not a transaction open after its last byte, and yet leaves a worker in doubt."""
        if any(each.broke_in_body for each in self.transactions):
            return "broke in the body"
        if any(self._is_unread(each) for each in self.transactions):
            return UNREAD
        return "nothing"

    def _is_unread(self, transaction: Transaction) -> bool:
        replied_at = transaction.replied_at
        strikes = self.strikes.get(transaction.worker, ())
        return replied_at is not None and any(strike.at - UNREAD_S < replied_at <= strike.until for strike in strikes)


def _refusals(transaction: Transaction) -> Mapping[str, int]:
    """Who was refused, and by which reply: at RCPT, or with the whole message."""
    if transaction.accepted_at is None and transaction.code is not None:
        return {**dict.fromkeys(transaction.admitted, transaction.code), **transaction.refused}
    return transaction.refused
