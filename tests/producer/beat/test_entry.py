"""An entry: its ids, its message and what goes with it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from postroom.beat.entry import Entry
from postroom.beat.slots import Interval, Slot

SLOT = Slot(datetime(2026, 3, 29, 5, 30, tzinfo=UTC), "2026-03-29T07:30")
MESSAGE = {"To": "ann@example.com", "From": "shop@example.com", "Subject": "At $time", "Body": "x"}


def an_entry(**changes: Any) -> Entry:
    """An entry that recurs somehow."""
    fields: dict[str, Any] = {
        "name": "weekly",
        "rhythm": Interval(60),
        "zone": ZoneInfo("Europe/Berlin"),
        "session": "shop",
        "message": MESSAGE,
        "catch_up": timedelta(hours=1),
    }
    return Entry(**(fields | changes))


def test_the_id_is_made_of_entry_and_slot() -> None:
    """Released versions have given out these ids: a new version must not send their slots again."""
    assert an_entry().delivery_id(SLOT) == "eb3007b8-73cf-5198-981f-cd605d4f8c3a"
    assert an_entry(name="daily").delivery_id(SLOT) != an_entry().delivery_id(SLOT)
    assert an_entry().delivery_id(Slot(SLOT.at, "2026-03-29T07:31")) != an_entry().delivery_id(SLOT)


def test_the_id_does_not_depend_on_what_is_sent() -> None:
    """Two beats with two versions of the file agree on which mail is the same."""
    other = an_entry(message={**MESSAGE, "Body": "y"}, session="other", zone=ZoneInfo("UTC"), is_template=True)

    assert other.delivery_id(SLOT) == an_entry().delivery_id(SLOT)


def test_a_template_is_filled_in_the_entrys_zone() -> None:
    """What people read on their own clocks; an entry's own values stand beside the words of the slot, and win."""
    filled = an_entry(is_template=True).message_for(SLOT)
    own = an_entry(is_template=True, values={"time": "noon"}).message_for(SLOT)

    assert (filled.subject, own.subject) == ("At 07:30", "At noon")


def test_a_message_is_left_as_it_is() -> None:
    """Whoever writes a price into it need not think of words."""
    assert an_entry().message_for(SLOT).subject == "At $time"


def test_what_goes_with_it() -> None:
    """The slot's id as the receipt's, and the end of its time."""
    plain, ending = an_entry(), an_entry(expires_after=timedelta(hours=2), options={"close_session": True})

    assert plain.options_for(SLOT) == {"receipt_id": plain.delivery_id(SLOT)}
    assert ending.options_for(SLOT) == {
        "receipt_id": plain.delivery_id(SLOT),
        "close_session": True,
        "expires_at": SLOT.at + timedelta(hours=2),
    }


def test_it_shows_nothing_of_its_message() -> None:
    """Logs and tracebacks may hold it."""
    assert "ann@" not in repr(an_entry())
