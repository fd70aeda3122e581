"""How long mail waited after the kill of the worker that held it.

Pure: from what a worker's log says it took and finished, and from the server's journal. A mail that the worker held is
finished when the server has seen the last of it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

from tests.chaos.journal import Transaction

# What Celery logs of any task; and what Postroom's worker logs of an attempt, which a stock one does not.
_STEP = re.compile(r"(?:Task \S+\[|delivery )([0-9a-f-]{36})\]? (received|succeeded|raised|retry|is )")


def held(log: str) -> set[str]:
    """The ids of the deliveries that a worker had taken and not finished when its log ended."""
    last = dict(_STEP.findall(log))  # the later of two steps wins
    return {delivery_id for delivery_id, step in last.items() if step == "received"}


def recovery_s(killed_at: float, mails: Collection[int], by_mail: Mapping[int, Sequence[Transaction]]) -> float | None:
    """Seconds from a kill until the last mail of the dead worker was finished; None where it held none."""
    ends = [
        transaction.ended_at
        for mail in mails
        for transaction in by_mail.get(mail, ())
        if transaction.ended_at is not None and transaction.began_at > killed_at
    ]
    return max(ends) - killed_at if ends else None
