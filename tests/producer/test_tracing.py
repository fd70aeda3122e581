"""The trace context that a message takes along."""

from __future__ import annotations

import subprocess
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


# A program with an SDK of its own, and a Redis that is away.
FAILING = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from postroom.tracing import handing_over

spans = InMemorySpanExporter()
trace.set_tracer_provider(TracerProvider())
trace.get_tracer_provider().add_span_processor(SimpleSpanProcessor(spans))
try:
    with handing_over("postroom.normal", "d1") as headers:
        raise ConnectionError("canary")
except ConnectionError:
    pass
print(spans.get_finished_spans()[0].to_json(), list(headers))
"""


def test_a_failure_gives_the_span_its_kind_and_no_text() -> None:
    """An error's text may name a server."""
    pytest.importorskip("opentelemetry.sdk.trace")
    ended = subprocess.run([sys.executable, "-c", FAILING], capture_output=True, text=True, check=True)

    assert '"error.type": "ConnectionError"' in ended.stdout
    assert '"status_code": "ERROR"' in ended.stdout
    assert "['traceparent']" in ended.stdout
    assert "canary" not in ended.stdout
