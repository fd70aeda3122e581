"""The lines that a person reads."""

from __future__ import annotations

from postroom.doctor.chart import chart, summary
from postroom_contract.finding import Finding
from postroom_contract.finding_codes import FindingCode


def test_lines_are_aligned_and_say_what_to_do() -> None:
    """Severity, code, sentence; the advice below it; a summary at the end."""
    lines = list(
        chart([Finding(FindingCode.REDIS_KEEPS, "", {"fsync": "always"}), Finding(FindingCode.WORKERS_NONE)], 1.26)
    )

    assert lines[0] == "ok       redis_keeps   Redis writes an append-only file (appendfsync always)."
    assert lines[1] == "error    workers_none  No worker is alive: nothing is sent."
    assert lines[2].startswith(" " * 23 + "-> Start `postroom worker`")
    assert lines[-1] == "1 error, 0 warnings, 0 notes, 1 in order (in 1.3 s)"


def test_summary_of_nothing() -> None:
    """It can be told."""
    assert summary([]) == "0 errors, 0 warnings, 0 notes, 0 in order"
