"""The report as a person reads it."""

from dataclasses import replace

from postroom.demo.row import Report
from postroom.demo.table import render
from tests.producer.demo.test_row import FAILED, SENT, SERVER


def test_table_shows_what_was_asked_what_arrived_and_the_outcome() -> None:
    """Each row on a line of its own, then the servers, then the verdict."""
    lines = render(Report([SENT, FAILED], [SERVER], 12.34)).splitlines()

    assert lines[0].split() == ["asked", "arrived", "(the", "server's", "own", "copy)", "outcome", "time"]
    assert lines[2].split("  ")[0] == "ok"
    assert "3 recipients (1 hidden), text/plain, urgent, 1 of 1 file unchanged  sent" in lines[2]
    assert "nothing" in lines[3]
    assert "failed: EmailSessionException 300" in lines[3]
    assert lines[5:] == [
        "TLS port 465: 8 messages over 3 connections, 3 logins, 1 refused login",
        "All 2 came out as they should, in 12.3 s.",
    ]


def test_mistake_is_marked_and_explained() -> None:
    """The row stands out, and the end says why."""
    table = render(Report([replace(SENT, copies=[])], [SERVER], 1.0))

    assert "!!  letter" in table
    assert table.endswith("Not as expected:\n- letter: the servers have 0 copies instead of 1")


def test_attempts_are_told_where_there_were_several() -> None:
    """A retry is worth knowing of."""
    row = replace(FAILED, told={**FAILED.told, "attempts": 5})

    assert "EmailSessionException 300, 5 attempts" in render(Report([row], [SERVER], 1.0))
