"""Spans of attempts, for OpenTelemetry: from taking a message to the last word of the mail server.

Owns OpenTelemetry in the worker, and what a span says: ids, states, codes, nothing of a mail, a server or a person. Spans are made
of the event that ends an attempt: their lengths are measured, and the beginnings of its steps worked out from them. Where nobody
asks for traces, nothing of it is imported.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import sys
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from postroom_contract.error_codes import ErrorCode
from postroom_contract.outcome import State
from postroom_worker import events
from postroom_worker.events import AttemptEnded, Event
from postroom_worker.timesheet import Lap

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider

logger = logging.getLogger(__name__)

# The variables by which OpenTelemetry's SDKs are told where spans go, and how.
_PLACES = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
# How long the last spans may take to leave when the worker ends: they are worth less than a restart in time.
FLUSH_S = 2.0

_FAILURES = frozenset({State.FAILED, State.UNKNOWN, State.HELD, State.RETRYING})


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
        # In a thread of its own, because the SDK knows no limit there: it waits for as long as its exporter tries.
        flushing = threading.Thread(target=self._provider.force_flush, name="postroom-last-spans", daemon=True)
        flushing.start()
        flushing.join(FLUSH_S)
        if flushing.is_alive():
            logger.warning("The collector of traces did not take the last spans within %g s", FLUSH_S)

    def _take_end(self, event: AttemptEnded, end_ns: int) -> None:
        from opentelemetry import trace  # noqa: PLC0415 -- only who traces has it

        attempt = self._tracer.start_span(
            f"deliver {event.queue}",
            context=_context_of(event),
            kind=trace.SpanKind.CONSUMER,
            attributes=_attributes(event),
            start_time=end_ns - _ns(event.seconds),
        )
        if event.state in _FAILURES:
            attempt.set_status(trace.StatusCode.ERROR, f"{event.code} {event.reason or ''}".strip())
        within = trace.set_span_in_context(attempt)
        # The laps follow each other without a gap, and the last one has just ended.
        begin_ns = end_ns - sum(map(_ns, event.laps_s.values()))
        for lap, seconds in event.laps_s.items():
            span = self._tracer.start_span(lap, within, start_time=begin_ns)
            begin_ns += _ns(seconds)
            if lap == Lap.SMTP:
                self._take_steps(event.smtp_s, trace.set_span_in_context(span), begin_ns)
            span.end(begin_ns)
        attempt.end(end_ns)

    def _take_steps(self, smtp_s: Mapping[str, float], within: Context, end_ns: int) -> None:
        """The steps of SMTP; what is left in front of them was waiting for a session."""
        from opentelemetry import trace  # noqa: PLC0415 -- as above

        begin_ns = end_ns - sum(map(_ns, smtp_s.values()))
        for step, seconds in smtp_s.items():
            span = self._tracer.start_span(f"smtp {step}", within, trace.SpanKind.CLIENT, start_time=begin_ns)
            begin_ns += _ns(seconds)
            span.end(begin_ns)


def traces_from_env() -> Traces | None:
    """What a program has set up, or the environment asks for; None where there is neither, or nothing that could."""
    if provider := _provider_of_program():
        return Traces(provider)
    if not _is_asked_for():
        return None
    if importlib.util.find_spec("opentelemetry") is None or importlib.util.find_spec("opentelemetry.exporter") is None:
        logger.warning("Traces are asked for, and not installed: pip install '.[otel]' in Postroom's folder")
        return None
    from opentelemetry import trace  # noqa: PLC0415 -- only who asks for it
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    usual = {} if os.environ.get("OTEL_SERVICE_NAME") else {"service.name": "postroom-worker"}
    # The SDK's own end would wait for as long as its exporter tries; `close` is ours.
    provider = TracerProvider(resource=Resource.create(usual), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    return Traces(provider)


def begin() -> Traces | None:
    """Make spans of all events from now on, if anybody asks for them."""
    traces = traces_from_env()
    if traces is not None:
        events.listen(traces.take)
    return traces


def _provider_of_program() -> TracerProvider | None:
    """What `opentelemetry-instrument`, or a program of the host's, has set up."""
    if "opentelemetry.sdk.trace" not in sys.modules:
        return None
    from opentelemetry import trace  # noqa: PLC0415 -- it is there
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415

    provider = trace.get_tracer_provider()
    return provider if isinstance(provider, TracerProvider) else None


def _is_asked_for() -> bool:
    """Whether OpenTelemetry's own variables want spans, and in a way that is ours to give."""
    if _said("OTEL_SDK_DISABLED") == "true":
        return False
    exporters = [word.strip() for word in _said("OTEL_TRACES_EXPORTER").split(",") if word.strip()]
    if exporters and "otlp" not in exporters:
        if exporters != ["none"]:
            logger.warning("OTEL_TRACES_EXPORTER: a worker sends spans by otlp alone; no traces")
        return False
    if not exporters and not _said(*_PLACES):
        return False
    if _said(*_PROTOCOLS) not in {"", "http/protobuf"}:
        logger.warning(
            "OTEL_EXPORTER_OTLP_PROTOCOL: a worker speaks http/protobuf alone (port 4318, usually); no traces"
        )
        return False
    return True


def _said(*names: str) -> str:
    """The first of the variables that says something, in small letters."""
    return next((value for name in names if (value := os.environ.get(name, "").strip().lower())), "")


def _context_of(event: AttemptEnded) -> Context:
    """Whose child the attempt is, in the form that the queue knows: OTEL_PROPAGATORS is about requests."""
    from opentelemetry.context import Context  # noqa: PLC0415 -- only who traces has it
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415

    carrier = {"traceparent": event.traceparent, "tracestate": event.tracestate}
    told = {name: value for name, value in carrier.items() if value is not None}
    return TraceContextTextMapPropagator().extract(told, Context())


def _attributes(event: AttemptEnded) -> dict[str, str | int | float | bool]:
    said = {
        "messaging.system": "postroom",
        "messaging.operation.name": "deliver",
        "messaging.operation.type": "process",
        "messaging.destination.name": event.queue,
        "messaging.message.id": event.id,
        "error.type": ErrorCode(event.code).name.lower() if event.code and event.state in _FAILURES else None,
        "postroom.state": event.state.value,
        "postroom.code": event.code,
        "postroom.reason": event.reason,
        "postroom.attempts": event.attempts,
        "postroom.smtp_code": event.smtp_code,
        "postroom.enhanced_code": event.enhanced_code,
        "postroom.accepted": event.accepted,
        "postroom.refused": event.refused,
        "postroom.possible_duplicate": event.possible_duplicate or None,
        "postroom.waited_s": event.waited_s,
        "postroom.after_s": event.after_s,
    }
    return {name: value for name, value in said.items() if value is not None}


def _ns(seconds: float) -> int:
    return int(seconds * 1e9)
