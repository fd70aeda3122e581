"""What a beat tells its log: one event for each slot, and for what keeps slots from being sent.

Owns the form: a sentence for people, and beside it the same as fields, which the worker's JSON log shows. Only names, times,
ids and codes: an address or a text of a mail must never get here. `agenda` tells.
"""

from __future__ import annotations

import logging

logger = logging.getLogger("postroom.beat")

# The attribute of a log record that bears an event's fields, as the worker's events have it.
EVENT = "postroom_event"


def tell(level: int, event: str, sentence: str, **fields: str | int) -> None:
    """Tell an event.

    Args:
        level: of logging.
        event: its name.
        sentence: what people read, with `%(field)s` in the place of fields.
        fields: what is to be told.
    """
    logger.log(level, sentence, fields, extra={EVENT: {"event": event, **fields}})
