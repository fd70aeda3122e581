"""The load run of scheduled mail, small: some hundred mails, a quarter called back, a worker killed on the way."""

from __future__ import annotations

import re
import subprocess
import sys

from tests.support.celery_worker import ROOT


def test_nothing_is_early_missing_or_doubled() -> None:
    """The script checks it and says so; its figures are those that were asked for."""
    asked = ["--mails", "400", "--cancel", "100", "--over-s", "6", "--kills", "1"]
    run = subprocess.run(
        [sys.executable, "ops/bench/schedule.py", *asked], cwd=ROOT, capture_output=True, text=True, check=False
    )
    figures = dict(re.findall(r"^([a-z ]+): (\d+)\b", run.stdout, re.MULTILINE))

    assert run.returncode == 0, run.stdout + run.stderr
    broken = ("before their time", "called back and sent", "missing", "twice without a warning")
    assert [figures[what] for what in broken] == ["0"] * 4
    called_back = re.search(r"^(\d+) called back", run.stdout, re.MULTILINE)
    assert called_back is not None
    assert int(called_back[1]) > 0
    assert int(figures["arrived"]) == 400 - int(called_back[1])
