"""What a beat tells its log: a sentence, and the same in fields."""

from __future__ import annotations

import json
import logging

import pytest

from postroom.beat import events
from postroom_worker.events import EVENT
from postroom_worker.log_format import JsonLine


def test_an_event_is_a_sentence_and_fields(caplog: pytest.LogCaptureFixture) -> None:
    """The worker's log format, in which a beat logs, shows the fields."""
    with caplog.at_level(logging.INFO, "postroom.beat"):
        events.tell(logging.INFO, "slot_queued", "entry %(entry)s is queued as %(id)s", entry="weekly", id="an-id")
    [record] = caplog.records
    shown = json.loads(JsonLine().format(record))

    assert record.getMessage() == "entry weekly is queued as an-id"
    assert {name: shown[name] for name in ("event", "entry", "id")} == {
        "event": "slot_queued",
        "entry": "weekly",
        "id": "an-id",
    }


def test_fields_stand_where_the_workers_stand() -> None:
    """Neither side may import the other, so that only a test can tell."""
    assert events.EVENT == EVENT
