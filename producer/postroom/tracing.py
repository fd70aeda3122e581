"""How a message is followed: the span of handing it over, and the trace context that travels with it.

Owns OpenTelemetry on this side (its API alone; who traces has set the SDK up). It is used only where the program has imported
it already, so that nobody else pays for it. The context travels in the clear: it is random numbers.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

_NO_CONTEXT: Mapping[str, str] = {}


@contextmanager
def handing_over(queue: str, delivery_id: str) -> Iterator[Mapping[str, str]]:
    """A span within the program's current one; gives the headers that the message takes along (W3C Trace Context)."""
    if "opentelemetry.trace" not in sys.modules:
        yield _NO_CONTEXT
        return
    from opentelemetry import trace  # noqa: PLC0415 -- see above
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415

    attributes = {
        "messaging.system": "postroom",
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.destination.name": queue,
        "messaging.message.id": delivery_id,
    }
    tracer = trace.get_tracer("postroom")
    with tracer.start_as_current_span(
        f"send {queue}",
        kind=trace.SpanKind.PRODUCER,
        attributes=attributes,
        # The text may name a server, and the traceback is the caller's: the span gets the kind alone.
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        # In the form that the worker knows: OTEL_PROPAGATORS is about requests. Baggage, which may hold anything, stays here.
        headers: dict[str, str] = {}
        TraceContextTextMapPropagator().inject(headers)
        try:
            yield headers
        except Exception as error:
            span.set_attribute("error.type", type(error).__name__)
            span.set_status(trace.StatusCode.ERROR)
            raise
