"""The times of one attempt."""

from __future__ import annotations

from postroom_worker.timesheet import Lap, Timesheet


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


def test_laps_follow_each_other_without_a_gap() -> None:
    """Together they are the time until the last one, in the order in which they were taken."""
    sheet = Timesheet()
    for lap in (Lap.CLAIM, Lap.COMPOSE, Lap.SETTLE):
        sheet.lap(lap)
    until_now = sheet.seconds

    assert list(sheet.laps_s) == ["claim", "compose", "settle"]
    assert 0 <= sum(sheet.laps_s.values()) <= until_now
