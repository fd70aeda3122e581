"""When a worker makes spans at all; what they say is tested with a real collector."""

from __future__ import annotations

import importlib.util

import pytest

from postroom_worker import traces


@pytest.fixture(autouse=True)
def _nobody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)


def test_nobody_asks_and_nothing_is_made() -> None:
    """As in most workers."""
    assert traces.begin() is None


def test_what_is_not_installed_is_told(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """With what installs it; the worker starts all the same."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)

    assert traces.begin() is None
    assert "pip install 'postroom[otel]'" in caplog.text
