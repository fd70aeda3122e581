"""The command line of the harness: `python -m tests.chaos storm --seed 7`; `make chaos SEED=7` calls it."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from tests.chaos import report, scenarios
from tests.chaos.run import run
from tests.chaos.schedule import FULL_MAILS, quiet, storm
from tests.chaos.stage import Setting, Stage

BUILD = Path(__file__).parents[2] / "build"
WHAT = ("storm", "quiet", "kill", "outage")


def main() -> int:
    """Run what is asked for; the exit code is 1 where something of ours is as it must not be."""
    options = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    options.add_argument("what", choices=WHAT, help="a storm of faults, none, or one accident by itself")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument(
        "--mails", type=int, default=FULL_MAILS, help="of a storm or a quiet run; fewer make it shorter"
    )
    options.add_argument("--against", choices=("postroom", "stock"), default="postroom")
    options.add_argument("--keep", type=Path, help="an empty folder for journal and logs, to look at afterwards")
    asked = options.parse_args()
    # So that `kill PID` lets everything be stopped as Ctrl-C does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with tempfile.TemporaryDirectory() as folder:
        setting = Setting(asked.keep or Path(folder), _say, asked.seed, against=asked.against)
        try:
            figures = _figures(asked.what, asked.mails, setting)
        except KeyboardInterrupt:
            _say("interrupted; all that was started is stopped")
            return 128 + signal.SIGINT
    report.write(figures, BUILD / _file_name(asked.what, asked.against))
    _say(report.show(figures))
    ours = BUILD / _file_name(asked.what, "postroom")
    if asked.against != "postroom" and ours.exists():
        _say(report.beside(json.loads(ours.read_text()), figures))
    wrong = report.wrongs(figures)
    for each in wrong:
        _say(f"WRONG: {each}")
    # What a stock worker does is told, and is nobody's failure here.
    return 1 if wrong and asked.against == "postroom" else 0


def _figures(what: str, mails: int, setting: Setting) -> report.Figures:
    if what == "kill":
        setting = replace(setting, workers=2, is_calm=True, capacity=scenarios.KILL_CAPACITY)
    elif what != "storm":
        setting = replace(setting, is_calm=True)
    with Stage(setting) as stage:
        if what == "kill":
            return scenarios.kill(stage)
        if what == "outage":
            return scenarios.outage(stage)
        return run((storm if what == "storm" else quiet)(setting.seed, mails), stage)


def _file_name(what: str, against: str) -> str:
    parts = ["chaos", "" if what == "storm" else what, "" if against == "postroom" else against]
    return "-".join(filter(None, parts)) + ".json"


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 -- a command talks


if __name__ == "__main__":
    sys.exit(main())
