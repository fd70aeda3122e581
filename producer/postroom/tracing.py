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
    from opentelemetry import propagate, trace  # noqa: PLC0415 -- see above

    attributes = {
        "messaging.system": "postroom",
        "messaging.operation.type": "send",
        "messaging.destination.name": queue,
        "messaging.message.id": delivery_id,
    }
    tracer = trace.get_tracer("postroom")
    # An exception's text says nothing personal, but its traceback may be a caller's.
    with tracer.start_as_current_span(
        f"send {queue}", kind=trace.SpanKind.PRODUCER, attributes=attributes, record_exception=False
    ):
        headers: dict[str, str] = {}
        propagate.inject(headers)
        # Baggage may hold anything: it stays here.
        yield {name: headers[name] for name in ("traceparent", "tracestate") if name in headers}
