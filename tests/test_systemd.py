"""The systemd units: accepted by systemd itself, and in step with the code where they repeat it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from postroom.cli import main
from postroom.cli.output import ExitCode
from postroom_contract.setting_names import SETTINGS
from postroom_worker.app import LONGEST_STANDSTILL_S
from postroom_worker.desk import CANCEL_S
from postroom_worker.health import SHOW_EVERY_S
from postroom_worker.pool import DRAIN_S, LAST_WORDS_S, RECORD_S
from tests.conftest import require
from tests.support.post import ROOT

UNITS = sorted((ROOT / "ops" / "systemd").glob("*.service"))


def lines(unit: Path) -> dict[str, str]:
    """The lines of a unit; of several with one name the last."""
    pairs = (line.partition("=") for line in unit.read_text(encoding="utf-8").splitlines() if "=" in line)
    return {name: value for name, _, value in pairs if not name.startswith("#")}


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_takes_it(unit: Path, tmp_path: Path) -> None:
    """Its own verifier finds nothing to say; the program is put where it really is."""
    require("systemd-analyze", is_there=shutil.which("systemd-analyze") is not None)
    text = unit.read_text(encoding="utf-8").replace(
        "/opt/postroom/bin/postroom", str(Path(sys.executable).parent / "postroom")
    )
    file = tmp_path / unit.name.replace("@", "@1")
    file.write_text(text, encoding="utf-8")
    ended = subprocess.run(["systemd-analyze", "verify", str(file)], capture_output=True, text=True, check=False)  # noqa: S607

    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_it_starts_a_command_that_there_is_with_settings_that_there_are(unit: Path) -> None:
    """And does not start it again and again where a setting is wrong."""
    told = lines(unit)
    program, command, *_ = told["ExecStart"].split()
    names = [word.partition("=")[0] for word in told["Environment"].split()]

    assert program == "/opt/postroom/bin/postroom"
    assert command in main.commands
    assert {name.removesuffix("_FILE") for name in names} <= SETTINGS
    assert told["RestartPreventExitStatus"] == str(int(ExitCode.BAD_SETTINGS))
    assert told["NoNewPrivileges"] == told["DynamicUser"] == "yes"


def test_the_worker_has_time_to_end() -> None:
    """More than the drain, the patience with committed sends, and the goodbyes take."""
    [worker] = [unit for unit in UNITS if "worker" in unit.name]

    assert float(lines(worker)["TimeoutStopSec"]) > DRAIN_S + CANCEL_S + RECORD_S + LAST_WORDS_S


@pytest.mark.parametrize("unit", [unit for unit in UNITS if "flower" not in unit.name], ids=lambda unit: unit.name)
def test_one_that_hangs_is_started_anew(unit: Path) -> None:
    """What it tells systemd is tested where it tells it; the unit has to let it, and must not end one that waits for Redis."""
    told = lines(unit)

    assert (told["Type"], told["TimeoutStartSec"]) == ("notify", "infinity")
    assert float(told["WatchdogSec"]) >= 2 * (LONGEST_STANDSTILL_S + SHOW_EVERY_S)
    assert "AF_UNIX" in told["RestrictAddressFamilies"].split()
