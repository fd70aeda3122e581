"""Spans of attempts, for OpenTelemetry: from taking a message to the last word of the mail server.

Owns OpenTelemetry in the worker, and what a span says: ids, states, codes, nothing of a mail, a server or a person. Spans are made
of the event that ends an attempt: their lengths are measured, and the beginnings of its steps worked out from them. Where nobody
asks for traces, nothing of it is imported.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import time
from typing import TYPE_CHECKING, Any

from postroom_contract.outcome import State
from postroom_worker import events
from postroom_worker.events import AttemptEnded, Event

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

logger = logging.getLogger(__name__)

# The variables by which OpenTelemetry's SDKs are asked to send spans somewhere.
_ASKING = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
# How long the last spans may take to leave when the worker ends: they are worth less than a restart in time.
FLUSH_S = 2.0

_FAILURES = frozenset({State.FAILED, State.UNKNOWN, State.HELD})


class Traces:
    """Makes spans of events, and sends them where the environment says. End it with `close`."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("postroom")

    def take(self, event: Event) -> None:
        """Make the spans of an attempt; other events have none."""
        if isinstance(event, AttemptEnded):
            self._take_end(event, time.time_ns())

    def close(self) -> None:
        """Send what there is, for a moment."""
        self._provider.force_flush(int(FLUSH_S * 1000))

    def _take_end(self, event: AttemptEnded, end_ns: int) -> None:
        from opentelemetry import propagate, trace  # noqa: PLC0415 -- only who traces has it

        carrier = {"traceparent": event.traceparent} if event.traceparent else {}
        begin_ns = end_ns - _ns(event.seconds)
        span = self._tracer.start_span(
            "deliver",
            context=propagate.extract(carrier),
            kind=trace.SpanKind.CONSUMER,
            attributes=_attributes(event),
            start_time=begin_ns,
        )
        if event.state in _FAILURES or event.state is State.RETRYING:
            span.set_status(trace.StatusCode.ERROR, f"{event.code} {event.reason or ''}".strip())
        within = trace.set_span_in_context(span)
        step_ns = end_ns - sum(_ns(seconds) for seconds in event.smtp_s.values())
        for step, seconds in event.smtp_s.items():
            child = self._tracer.start_span(f"smtp {step}", within, trace.SpanKind.CLIENT, start_time=step_ns)
            step_ns += _ns(seconds)
            child.end(step_ns)
        span.end(end_ns)


def traces_from_env() -> Traces | None:
    """What the environment asks for; None where it asks for none, or nothing is installed that could."""
    if not any(os.environ.get(name) for name in _ASKING):
        return None
    if importlib.util.find_spec("opentelemetry.exporter") is None:
        logger.warning("Traces are asked for, and not installed: pip install 'postroom[otel]'")
        return None
    from opentelemetry import trace  # noqa: PLC0415 -- only who asks for it
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    provider: Any = trace.get_tracer_provider()
    if not isinstance(provider, TracerProvider):  # `opentelemetry-instrument` may have set one up
        usual = {} if os.environ.get("OTEL_SERVICE_NAME") else {"service.name": "postroom-worker"}
        provider = TracerProvider(resource=Resource.create(usual))
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        trace.set_tracer_provider(provider)
    return Traces(provider)


def begin() -> Traces | None:
    """Make spans of all events from now on, if the environment asks for them."""
    traces = traces_from_env()
    if traces is not None:
        events.listen(traces.take)
    return traces


def _attributes(event: AttemptEnded) -> dict[str, str | int | float | bool]:
    said = {
        "messaging.system": "postroom",
        "messaging.operation.type": "process",
        "messaging.message.id": event.id,
        "postroom.state": event.state.value,
        "postroom.code": event.code,
        "postroom.reason": event.reason,
        "postroom.attempts": event.attempts,
        "postroom.smtp_code": event.smtp_code,
        "postroom.accepted": event.accepted,
        "postroom.refused": event.refused,
        "postroom.possible_duplicate": event.possible_duplicate or None,
        "postroom.waited_s": event.waited_s,
        "postroom.after_s": event.after_s,
    }
    return {name: value for name, value in said.items() if value is not None}


def _ns(seconds: float) -> int:
    return int(seconds * 1e9)
