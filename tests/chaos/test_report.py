"""The report: which figures are wrong, and how two sides stand beside each other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.chaos import report
from tests.chaos.judge import Judgement, Posted, Told, judge

CLEAN = report.figures_of(Judgement()) | {"workers_deserted": 0, "workers_stubborn": 0, "recorder_complaints": ""}


@pytest.mark.parametrize(
    ("changes", "wrongs"),
    [
        ({}, 0),
        ({"duplicated": 9, "flagged": 9, "spent_budgets": 3, "enqueues_refused": 40}, 0),
        ({"lost": 1}, 1),
        ({"duplicated_without_flag": 1, "contradictions": 2}, 2),
        ({"unfinished": 1, "workers_deserted": 1, "workers_stubborn": 1}, 3),
        ({"flagged_without_cause": 4, "open_at_workers_end": 4}, 0),
        ({"flagged_without_cause": 5, "open_at_workers_end": 4}, 1),
        ({"flagged_without_cause": 5, "flagged_unread": 1, "open_at_workers_end": 4}, 0),
        ({"news_untold": 1, "news_repeated": 2, "news_contradictions": 1}, 2),
        ({"recorder_complaints": "Traceback"}, 1),
        ({"promises_broken": ["a refusal took 7.0 s"]}, 1),
    ],
)
def test_what_is_wrong(changes: dict[str, Any], wrongs: int) -> None:
    """Each kind of wrong is told, and nothing else is."""
    assert len(report.wrongs(CLEAN | changes)) == wrongs


def test_the_report_can_be_written_and_read(tmp_path: Path) -> None:
    """As JSON with all figures, and for a person without the long lists."""
    judgement = judge([Posted(1, ("ann@chaos.example",))], [], {1: Told("sent")})
    figures = report.figures_of(judgement) | {"recovery": report.recovery_figures([21.0, 22.04, 20.0])}
    report.write(figures, tmp_path / "build" / "chaos.json")

    read = json.loads((tmp_path / "build" / "chaos.json").read_text())
    assert (read["lost"], read["outcomes"]) == (1, {"sent": 1})
    assert read["recovery"] == {"kills_with_mail": 3, "median_s": 21.0, "longest_s": 22.0, "each_s": [21.0, 22.0, 20.0]}
    assert "kills_with_mail: 3, median_s: 21.0" in report.show(figures)


def test_both_sides_of_one_storm_are_shown_together() -> None:
    """Only where it was the same storm."""
    ours = CLEAN | {"seed": 7, "mails": 300}
    stock = ours | {"lost": 3}

    assert "lost" in report.beside(ours, stock)
    assert report.beside(ours, stock | {"seed": 8}) == ""
