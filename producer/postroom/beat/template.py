"""A message whose texts name the time they are sent for: `Week $week`.

Owns the words that may stand in them, and their filling, anywhere in the message's JSON. What makes the message valid is
the contract's business, once it is filled.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from string import Template
from typing import Any

# Beside an entry's own `values`. English names of days, whatever the machine's language: a mail must not depend on it.
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def words_of(name: str, local: datetime) -> dict[str, str]:
    """What the words say for one slot.

    Args:
        name: of the entry.
        local: when it is due, in its zone.
    """
    year, week, _ = local.isocalendar()
    return {
        "name": name,
        "date": f"{local:%Y-%m-%d}",
        "time": f"{local:%H:%M}",
        "year": f"{local:%Y}",
        "month": f"{local:%m}",
        "day": f"{local:%d}",
        "hour": f"{local:%H}",
        "minute": f"{local:%M}",
        "weekday": _WEEKDAYS[local.weekday()],
        # ISO 8601: the first days of January may belong to the last week of the year before.
        "week": f"{week:02d}",
        "week_year": str(year),
        "slot": local.isoformat(),
    }


def fill(part: Any, words: Mapping[str, str]) -> Any:
    """The same JSON with all its texts filled; names of properties stay as they are.

    Raises:
        KeyError, ValueError: a word is not known, or a `$` stands alone; `mistakes_in` tells them in sentences.
    """
    if isinstance(part, str):
        return Template(part).substitute(words)
    if isinstance(part, Mapping):
        return {name: fill(inner, words) for name, inner in part.items()}
    if isinstance(part, list):
        return [fill(inner, words) for inner in part]
    return part


def mistakes_in(part: Any, words: Mapping[str, str]) -> Iterator[str]:
    """What cannot be filled, in sentences that quote no text but the words."""
    for text in _texts(part):
        template = Template(text)
        if not template.is_valid():
            yield "a $ stands before no word; write $$ for the character itself"
            continue
        for word in template.get_identifiers():
            if word not in words:
                yield f"${word} is none of {', '.join(f'${known}' for known in words)}"


def _texts(part: Any) -> Iterator[str]:
    if isinstance(part, str):
        yield part
    elif isinstance(part, (Mapping, list)):
        for inner in part.values() if isinstance(part, Mapping) else part:
            yield from _texts(inner)
