"""A length of time as people write it into a settings file: 90, "90s", "15m", "2h", "1d".

Owns the form. What a length may be at the least and the most is for those to say who read it.
"""

from __future__ import annotations

import re
from datetime import timedelta

_WRITTEN = re.compile(r"(\d{1,6})([smhdw])")
# Three years; nothing that is written here is as long, and dates far beyond cannot be worked with.
_MOST_S = 100_000_000
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def read_duration(value: object) -> timedelta | None:
    """The length of time, in whole seconds; None for what is none."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST_S:
        return timedelta(seconds=value)
    written = _WRITTEN.fullmatch(value) if isinstance(value, str) else None
    seconds = int(written[1]) * _SECONDS[written[2]] if written else _MOST_S + 1
    return timedelta(seconds=seconds) if seconds <= _MOST_S else None
