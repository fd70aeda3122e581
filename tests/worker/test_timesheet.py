"""The times of one attempt."""

from __future__ import annotations

from postroom_worker.timesheet import Timesheet


def test_several_transactions_add_up() -> None:
    """Each step's time is the sum over the transactions of the attempt."""
    sheet = Timesheet()
    sheet.add({"envelope": 1.0, "reply": 2.0})
    sheet.add({"envelope": 0.5})

    assert sheet.smtp_s == {"envelope": 1.5, "reply": 2.0}


def test_it_runs_from_the_moment_it_is_made() -> None:
    """The attempt's own time only grows; how long it waited before is not known until somebody tells."""
    sheet = Timesheet()
    first = sheet.seconds

    assert 0 <= first <= sheet.seconds
    assert sheet.waited_s is None
