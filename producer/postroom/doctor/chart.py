"""The chart: findings as lines for people.

Owns the look of them: severity, code, sentence, and below it what to do. The worst stands last, where a terminal shows it.
Programs read `--json`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from postroom_contract.finding import Finding
from postroom_contract.finding_codes import Severity

# As long as the longest of each.
_SEVERITY_WIDTH = max(len(severity) for severity in Severity)


def chart(findings: Sequence[Finding], taken_s: float) -> Iterator[str]:
    """Lines for a terminal."""
    width = max((len(finding.code) for finding in findings), default=0)
    margin = " " * (_SEVERITY_WIDTH + width + 4)
    for finding in findings:
        yield f"{finding.severity:<{_SEVERITY_WIDTH}}  {finding.code:<{width}}  {finding.what}"
        if finding.advice:
            yield f"{margin}-> {finding.advice}"
    yield ""
    yield f"{summary(findings)} (in {taken_s:.1f} s)"


def summary(findings: Sequence[Finding]) -> str:
    """How many of each."""
    counts = Counter(finding.severity for finding in findings)
    bad = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "note"}
    told = [f"{counts[severity]} {word}{'' if counts[severity] == 1 else 's'}" for severity, word in bad.items()]
    return ", ".join([*told, f"{counts[Severity.OK]} in order"])
