"""The command line of the harness: `python -m tests.chaos run --seed 7`; `make chaos SEED=7` calls it."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from pathlib import Path

from tests.chaos import report
from tests.chaos.run import Scene, run
from tests.chaos.schedule import FULL_MAILS, quiet, storm

BUILD = Path(__file__).parents[2] / "build"


def main() -> int:
    """Run what is asked for; the exit code is 1 where something is as it must not be."""
    options = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    options.add_argument("what", choices=("run", "quiet", "kill", "outage"))
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--mails", type=int, default=FULL_MAILS)
    options.add_argument("--against", choices=("postroom", "stock"), default="postroom")
    options.add_argument("--keep", type=Path, help="an empty folder for journal and logs, to look at afterwards")
    asked = options.parse_args()
    # So that `kill` lets everything be stopped as Ctrl-C does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with tempfile.TemporaryDirectory() as folder:
        scene = Scene(asked.keep or Path(folder), _say)
        schedule = (quiet if asked.what == "quiet" else storm)(asked.seed, asked.mails)
        figures = run(schedule, scene, asked.against)
    path = BUILD / ("chaos.json" if asked.against == "postroom" else f"chaos-{asked.against}.json")
    report.write(figures, path)
    _say(report.show(figures))
    wrong = report.wrongs(figures)
    for each in wrong:
        _say(f"WRONG: {each}")
    return 1 if wrong else 0


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 -- a command talks


if __name__ == "__main__":
    sys.exit(main())
