"""A finding: its sentences, its JSON, and the way back."""

from __future__ import annotations

import json

import pytest

from postroom_contract.finding import Finding
from postroom_contract.finding_codes import FindingCode, Severity


def test_facts_fill_the_sentences() -> None:
    """What was seen and what to do name the thing and its numbers."""
    finding = Finding(FindingCode.QUEUE_OLD, "postroom.urgent", {"count": 3, "seconds": 90})

    assert finding.severity is Severity.WARNING
    assert finding.what == "Messages waiting in postroom.urgent: 3; the next was due 90 s ago."
    assert "POSTROOM_CONCURRENCY" in finding.advice


@pytest.mark.parametrize("code", FindingCode)
def test_a_missing_fact_does_not_stop_the_telling(code: FindingCode) -> None:
    """Every sentence can be made without facts, and has no brace left."""
    finding = Finding(code)

    assert not {"{", "}"} & set(finding.what + finding.advice)


def test_json_comes_back_as_the_same_finding() -> None:
    """The worker's process tells the command what it found."""
    finding = Finding(FindingCode.LOGIN_REFUSED, "shop", {"reply": "535 5.7.8"})

    assert Finding.from_dict(json.loads(json.dumps(finding.as_dict()))) == finding
    assert finding.as_dict()["severity"] == "error"
