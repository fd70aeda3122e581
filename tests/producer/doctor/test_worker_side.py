"""The process of the worker's package: what is read of its answer, however it ends."""

from __future__ import annotations

import importlib.util
import sys

import pytest

from postroom.doctor.ground import Ground
from postroom.doctor.worker_side import Wishes, check_mail_servers, run
from postroom_contract.finding import Finding
from postroom_contract.finding_codes import FindingCode

# Finds one thing: what it was asked.
ONE = """
import json, sys
from postroom_contract.finding import Finding
from postroom_contract.finding_codes import FindingCode
print(json.dumps(Finding(FindingCode.SPF_FOUND, sys.stdin.read()).as_dict()), flush=True)
"""
TOLD = Finding(FindingCode.SPF_FOUND, "question")


def answers(program: str, patience_s: float = 60.0) -> list[Finding]:
    """Ask a program that finds one thing first."""
    return run([sys.executable, "-c", ONE + program], "question", patience_s)


def test_findings_are_read_line_by_line() -> None:
    """A process that ends well has told all."""
    assert answers("") == [TOLD]


def test_process_that_fails_has_told_what_it_had_found() -> None:
    """Its last half line and its traceback are left out."""
    found = answers("print('{\"half', end='', flush=True); raise SystemExit(3)")

    assert found == [TOLD, Finding(FindingCode.SMTP_CHECK_FAILED, "", {"detail": "exit code 3"})]


def test_process_that_does_not_end_is_ended() -> None:
    """What it had told by then counts."""
    found = answers("import threading; threading.Event().wait()", patience_s=5.0)

    assert found == [TOLD, Finding(FindingCode.SMTP_CHECK_FAILED, "", {"detail": "none within 5 s"})]


def test_nothing_to_ask() -> None:
    """A producer without sessions needs no worker; a worker's side without the worker is told."""
    assert check_mail_servers(Ground("producer"), Wishes()) == []


def test_worker_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where only the application's side is, that is a note."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)

    assert check_mail_servers(Ground("worker"), Wishes()) == [Finding(FindingCode.SMTP_UNCHECKED)]


def test_wishes_show_no_address() -> None:
    """A sender is somebody."""
    assert "ann" not in repr(Wishes("ann@example.com"))
