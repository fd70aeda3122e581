"""When a worker makes spans at all; what they say is tested with a real collector."""

from __future__ import annotations

import importlib.util
import os

import pytest

from postroom_worker import traces

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
GRPC = {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}


@pytest.fixture(autouse=True)
def _nobody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)


def test_nobody_asks_and_nothing_is_made() -> None:
    """As in most workers."""
    assert traces.begin() is None


@pytest.mark.parametrize(
    "variables",
    [
        ENDPOINT,
        {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1/v1/traces"},
        {"OTEL_TRACES_EXPORTER": "otlp"},
        {"OTEL_TRACES_EXPORTER": "console, OTLP"},
        {**ENDPOINT, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"},
        {**ENDPOINT, **GRPC, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf"},
    ],
)
def test_opentelemetrys_variables_ask(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    """As they do with every program."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert traces._is_asked_for()


@pytest.mark.parametrize(
    ("variables", "warning"),
    [
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": " "}, None),
        ({**ENDPOINT, "OTEL_TRACES_EXPORTER": "none"}, None),
        ({**ENDPOINT, "OTEL_SDK_DISABLED": "True"}, None),
        ({**ENDPOINT, "OTEL_TRACES_EXPORTER": "zipkin"}, "by otlp alone"),
        ({**ENDPOINT, **GRPC}, "http/protobuf alone"),
    ],
)
def test_opentelemetrys_variables_refuse(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, variables: dict[str, str], warning: str | None
) -> None:
    """What is asked for in a way that a worker cannot give is told; what is not wanted is not."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert traces.begin() is None
    assert len(caplog.records) == (warning is not None)
    assert warning is None or warning in caplog.text


def test_what_is_not_installed_is_told(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """With what installs it; the worker starts all the same."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)

    assert traces.begin() is None
    assert "pip install '.[otel]' in Postroom's folder" in caplog.text
