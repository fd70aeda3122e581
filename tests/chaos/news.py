"""Whether hosts were told of ends (`on_outcome`): by every mail that asked for it, at least once, and as it went.

Pure, as `judge` is: it compares what a host heard with what a sender is told who asks afterwards.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tests.chaos.judge import Told


@dataclass(frozen=True)
class Word:
    """What a host heard in one call that it took."""

    delivery_id: str
    state: str
    code: int | None = None


@dataclass
class Hearing:
    """Numbers of mails, by what is wrong with what was heard of them."""

    wanted: int = 0
    heard: int = 0
    repeated: int = 0
    untold: list[int] = field(default_factory=list)
    contradictions: list[tuple[int, str]] = field(default_factory=list)
    # Calls about mails that had not asked for any.
    strange: int = 0


def hear(wanting: Mapping[int, str], told: Mapping[int, Told], words: Sequence[Word]) -> Hearing:
    """Compare.

    Args:
        wanting: the delivery ids of the mails that asked for it, by their numbers.
        told: the outcome of each mail that has one.
        words: all that was heard.
    """
    by_id: dict[str, list[Word]] = defaultdict(list)
    for word in words:
        by_id[word.delivery_id].append(word)
    hearing = Hearing(strange=sum(word.delivery_id not in wanting.values() for word in words))
    for number, delivery_id in wanting.items():
        heard, outcome = by_id[delivery_id], told.get(number)
        if outcome is None and not heard:
            continue  # a mail without an end, which is the judge's business
        hearing.wanted += 1
        hearing.heard += len(heard)
        hearing.repeated += max(0, len(heard) - 1)
        if not heard:
            hearing.untold.append(number)
        elif outcome is None:
            hearing.contradictions.append((number, "a host was told of an end that nobody else knows of"))
        elif others := {(word.state, word.code) for word in heard} - {(outcome.state, outcome.code)}:
            hearing.contradictions.append(
                (number, f"{outcome.state} {outcome.code}, but a host heard {sorted(others, key=str)}")
            )
    return hearing
