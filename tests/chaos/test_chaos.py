"""A short storm and a quiet hour, both whole: real Redis, real workers, a judge at the end."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos import report
from tests.chaos.run import run
from tests.chaos.schedule import quiet, storm
from tests.chaos.stage import Setting, Stage

# One squall; 70 s on an idle machine.
MAILS = 300
TIMEOUT_S = 400


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory, valkey_program: Path) -> report.Figures:
    """What one short storm came to."""
    with Stage(Setting(tmp_path_factory.mktemp("storm"), print)) as stage:
        return run(storm(1, MAILS), stage)


@pytest.mark.timeout(TIMEOUT_S)
def test_a_storm_loses_nothing(figures: report.Figures) -> None:
    """Kills, a pause, blips and a power cut of Redis: every mail with a receipt comes to an end that it may come to."""
    assert figures["kills"] == 6
    assert figures["accepted_distinct"] > MAILS / 2
    assert (figures["lost"], figures["unfinished"]) == (0, 0), report.show(figures)
    assert figures["news_wanted"] > MAILS / 4


@pytest.mark.timeout(TIMEOUT_S)
def test_a_storm_leaves_nothing_wrong(figures: report.Figures) -> None:
    """Second copies are flagged, a flag has a cause, and outcomes agree with the server's log."""
    assert report.wrongs(figures) == []


@pytest.mark.timeout(TIMEOUT_S)
def test_a_quiet_run_flags_nothing(tmp_path: Path, valkey_program: Path) -> None:
    """Without faults every mail is accepted once, and no outcome warns."""
    with Stage(Setting(tmp_path, print, is_calm=True)) as stage:
        figures = run(quiet(1, MAILS), stage)

    assert report.wrongs(figures) == []
    assert (figures["flagged"], figures["duplicated"], figures["receipts"]) == (0, 0, MAILS)
