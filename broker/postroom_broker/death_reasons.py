"""Why messages end in the list of dead ones, in a word for programs and in sentences for people.

Owns the one table of reasons: the transport writes the word beside a message that it buries, `postroom dead` prints the
sentences, and docs/commands.md repeats them. How a dead letter is kept is `transport.envelope`'s business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class DeathReason(StrEnum):
    """The word, as it stands in Redis: renaming one would leave entries that nobody can explain."""

    TOO_MANY_DELIVERIES = "too_many_deliveries"
    UNREADABLE = "unreadable"
    REJECTED = "rejected"
    UNKNOWN_KEY = "unknown_key"
    TAMPERED = "tampered"
    NOT_SEALED_TEXT = "not_sealed_text"
    BUG = "bug"
    UNTOLD = "untold"


@dataclass(frozen=True, slots=True)
class Explanation:
    """A reason in sentences: what happened, and what an operator does about it."""

    what: str
    advice: str


EXPLANATIONS: Mapping[str, Explanation] = {
    DeathReason.TOO_MANY_DELIVERIES: Explanation(
        "Each worker that took it was lost before it had finished.",
        "Find out in the workers' logs what ended them (memory, a crash, a kill), then requeue it. Somebody may have got "
        "the mail already: the outcome will say possible_duplicate.",
    ),
    DeathReason.UNREADABLE: Explanation(
        "It is no message that the transport can read.",
        "Find out what else writes into this queue, then drop it. It can be requeued only by a version that reads it.",
    ),
    DeathReason.REJECTED: Explanation(
        "A worker refused it, because it does not know such a task or parts of it are missing.",
        "Where a newer program has queued it, bring the workers up to date and requeue it; otherwise drop it.",
    ),
    DeathReason.UNKNOWN_KEY: Explanation(
        "The worker's POSTROOM_KEYS have no key that opens it.",
        "Give the workers the ring that the sender seals with, and requeue it.",
    ),
    DeathReason.TAMPERED: Explanation(
        "It was changed in Redis, sealed for another delivery, or sealed with another key of the same id.",
        "Compare the workers' POSTROOM_KEYS with the sender's: where two keys have one id, give the workers the sender's and "
        "requeue it. Otherwise find out who else writes into this Redis, then drop it.",
    ),
    DeathReason.NOT_SEALED_TEXT: Explanation(
        "What it carries is not sealed.",
        "Find out what else queues tasks of this name, then drop it.",
    ),
    DeathReason.BUG: Explanation(
        "A mistake of Postroom's own ended the attempt; the worker's log names its kind and place.",
        "Report it, and requeue the message to a version that mends it.",
    ),
    DeathReason.UNTOLD: Explanation(
        "News of an end that the host's webhook or task did not take for a day, or refused for good (410).",
        "Mend the receiver, and requeue it: it is told again as if for the first time. Dropped, the host is never told.",
    ),
}

_UNHEARD_OF = Explanation(
    "This version does not know the reason.",
    "Ask the version of Postroom that your workers run, with the same command.",
)


def explain(reason: str | None) -> Explanation:
    """The sentences for a reason, whatever stands in Redis."""
    return EXPLANATIONS.get(reason or "", _UNHEARD_OF)
