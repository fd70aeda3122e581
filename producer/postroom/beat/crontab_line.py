"""The five fields of a crontab line, checked and then read by Celery's own parser.

Owns what is refused before that parser sees it, because it would take it for something else in silence: `1-5-9` (1 to 5 for
it), `mon` among the minutes (the first), `*/70`. When the fields come true is `crontab`'s business.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from celery.schedules import ParseException, crontab_parser


class NoCrontab(ValueError):
    """A text is no crontab line; the error's text says why."""


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    least: int
    most: int
    example: str = "5, 1-5, */2, 2-10/2"
    # What may stand for a number beside its first three letters: the first name means the least.
    names: tuple[str, ...] = ()


_MONTHS = (
    *("january", "february", "march", "april", "may", "june", "july", "august"),
    *("september", "october", "november", "december"),
)
_WEEKDAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
_WEEKDAY = _Field("day of the week", 0, 6, "mon, mon-fri, 1-5", _WEEKDAYS)
_FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of the month", 1, 31),
    _Field("month", 1, 12, "jan, jun-aug, 6, */3", _MONTHS),
    _WEEKDAY,
)
# What crontab(5) also knows, and Celery does not.
_NICKNAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * sun",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
# crontab(5) has Sunday as 0 and as 7, so that 5-7 is Friday to Sunday.
_SUNDAY_TOO = "7"

_PART = re.compile(r"(?:(?P<star>\*)|(?P<first>\w{1,9})(?:-(?P<last>\w{1,9}))?)(?:/(?P<step>\d{1,2}))?", re.ASCII)
# What may be shown of a field: nothing longer or stranger is a crontab's.
_SHOWABLE = re.compile(r"[\w*/#?-]{1,30}", re.ASCII)


def read_line(line: str) -> tuple[frozenset[int], ...]:
    """What each of the five fields allows; of the days of the week, Sunday is 0.

    Raises:
        NoCrontab: it cannot be read, or can be misread.
    """
    fields = line.lower().split()
    if len(fields) == 1 and fields[0] in _NICKNAMES:
        raise NoCrontab(f'write "{_NICKNAMES[fields[0]]}" for {fields[0]}')
    if len(fields) != len(_FIELDS):
        raise NoCrontab("it has five fields: minute, hour, day of the month, month, day of the week")
    allowed, complaints = [], []
    for field, text in zip(_FIELDS, fields, strict=True):
        try:
            allowed.append(frozenset().union(*(_read_part(field, part) for part in text.split(","))))
        except NoCrontab as wrong:
            complaints.append(str(wrong))
    if complaints:
        raise NoCrontab("; ".join(complaints))
    return tuple(allowed)


def _read_part(field: _Field, part: str) -> frozenset[int]:
    about = f"the {field.name}" + (f" {part!r}" if _SHOWABLE.fullmatch(part) else "")
    found = _PART.fullmatch(part)
    if found is None:
        raise NoCrontab(f"{about} cannot be read: write {field.example}, or several of them between commas")
    ends = [_number(field, end, about) for end in (found["first"], found["last"]) if end is not None]
    step = found["step"]
    if step is not None and not (1 <= int(step) <= field.most and (found["star"] or found["last"])):
        raise NoCrontab(f"{about} has no step that can be: write */n or a-b/n, n from 1 to {field.most}")
    has_seven = field is _WEEKDAY and _SUNDAY_TOO in ends
    text = (found["star"] or "-".join(ends)) + (f"/{step}" if step else "")
    try:
        numbers = crontab_parser(field.most - field.least + 1 + has_seven, field.least).parse(text)
    except (ValueError, ParseException):
        raise NoCrontab(f"{about} is not within {field.least} to {field.most}") from None
    return frozenset(0 if has_seven and number == int(_SUNDAY_TOO) else number for number in numbers)


def _number(field: _Field, text: str, about: str) -> str:
    """A number, or the one that a name stands for."""
    if text.isdigit():
        return str(int(text))
    for number, name in enumerate(field.names, field.least):
        if text in {name, name[:3]}:
            return str(number)
    known = f" and no name such as {field.names[0][:3]}" if field.names else ""
    raise NoCrontab(f"{about} is no number{known}")
