"""The trace context that a message takes along."""

from __future__ import annotations

import sys

import pytest

from postroom.tracing import handing_over


def test_a_program_that_does_not_trace_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is imported for it."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "opentelemetry"]:
        monkeypatch.delitem(sys.modules, name)
    with handing_over("postroom.normal", "d1") as headers:
        assert headers == {}

    assert "opentelemetry" not in sys.modules


def test_without_an_sdk_there_is_no_context_to_take_along() -> None:
    """The API alone makes spans that say nothing."""
    pytest.importorskip("opentelemetry.trace")
    with handing_over("postroom.normal", "d1") as headers:
        assert headers == {}
