"""The table of findings: whole, and told alike in the documentation."""

from __future__ import annotations

from pathlib import Path

import pytest

from postroom_contract.finding_codes import EXPLANATIONS, FindingCode, Severity

DOCTOR = (Path(__file__).parents[2] / "docs" / "doctor.md").read_text(encoding="utf-8")


def test_every_code_is_explained() -> None:
    """None is without its sentences, and what is not in order comes with something to do."""
    assert set(EXPLANATIONS) == set(FindingCode)
    assert [code for code, told in EXPLANATIONS.items() if (told.advice == "") != (told.severity is Severity.OK)] == []


def test_severities_have_an_order() -> None:
    """The list of findings ends with the worst."""
    assert [severity.rank for severity in (Severity.OK, Severity.NOTE, Severity.WARNING, Severity.ERROR)] == [
        0,
        1,
        2,
        3,
    ]


@pytest.mark.parametrize("code", FindingCode)
def test_the_documentation_has_the_same_sentences(code: FindingCode) -> None:
    """docs/doctor.md lists each code with its severity, what it says and what to do."""
    told = EXPLANATIONS[code]

    assert f"| `{code}` | {told.severity} | {told.what} | {told.advice} |" in DOCTOR
