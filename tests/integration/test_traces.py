"""One trace from a web request to the mail server's reply, through the queue and a retry; and nothing personal in it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from postroom.testing import SilentListener, SmtpServer, at, free_port
from tests.support.otlp_collector import Collector, Span
from tests.support.post import Post, a_message
from tests.support.waiting import wait_until

TIMEOUT_S = 40.0
# A web application that is traced by its framework's usual means, and one request to it.
PROGRAM = """
import json, os, sys
from flask import Flask
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from postroom.flask import Postroom

trace.set_tracer_provider(TracerProvider(resource=Resource.create({"service.name": "shop"})))
trace.get_tracer_provider().add_span_processor(SimpleSpanProcessor(OTLPSpanExporter()))
postroom, app = Postroom(), Flask("shop")
app.config["POSTROOM_SESSION"] = "shop"
postroom.init_app(app)

@app.post("/orders")
def order():
    message = {"To": "canaryann@example.com", "From": "canaryshop@example.com", "Subject": "canary", "Body": "canary"}
    return {"receipt": postroom.send(message).id}

caller = TraceContextTextMapPropagator().extract(
    {"traceparent": "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01", "tracestate": "vendor=abc"}
)
with trace.get_tracer("shop").start_as_current_span("POST /orders", caller, trace.SpanKind.SERVER):
    print(json.dumps(app.test_client().post("/orders").json))
"""


@pytest.fixture
def collector() -> Iterator[Collector]:
    """Where spans go."""
    with Collector() as collector:
        yield collector


def test_one_trace_from_the_request_to_the_reply(post: Post, tls_server: SmtpServer, collector: Collector) -> None:
    """The request, the handing over, the attempt that was put off, and the one that was answered."""
    tls_server.add_rules(at("RCPT").reply("450 4.2.0 canaryreply: try again in 1 second").times(1))
    post.name_session("shop", tls_server)
    post.more |= {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "100"}
    # What a program's requests are followed by is no matter of the queue's.
    post.more["OTEL_PROPAGATORS"] = "baggage"
    with post.worker() as worker:
        environment = {**os.environ, **post.environment}
        ended = subprocess.run(
            [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True
        )
        receipt_id = json.loads(ended.stdout)["receipt"]
        attempts = wait_until(lambda: two(collector, "deliver postroom.normal"), TIMEOUT_S, "two attempts")
        log = worker.log

    spans = collector.spans
    [request], [send] = (named(spans, name) for name in ("POST /orders", "send postroom.normal"))
    assert {span.trace_id for span in spans} == {request.trace_id}
    assert send.parent_id == request.span_id
    assert [attempt.parent_id for attempt in attempts] == [send.span_id] * 2
    assert [attempt.attributes["postroom.state"] for attempt in attempts] == ["retrying", "sent"]
    assert [attempt.status for attempt in attempts] == [2, 0]
    assert {attempt.attributes["messaging.message.id"] for attempt in attempts} == {receipt_id}
    assert {attempt.service for attempt in attempts} == {"postroom-worker"}
    assert [attempt.trace_state for attempt in attempts] == ["vendor=abc"] * 2
    check_steps(spans, attempts[0], {"connect", "tls", "greeting", "auth", "envelope"})
    check_steps(spans, attempts[1], {"envelope", "body", "commit", "reply"})
    refused, sent = (attempt.attributes for attempt in attempts)
    assert (refused["postroom.smtp_code"], refused["postroom.enhanced_code"]) == (450, "4.2.0")
    assert (refused["error.type"], "error.type" in sent) == ("command_refused", False)
    assert sent["messaging.destination.name"] == send.attributes["messaging.destination.name"] == "postroom.normal"
    assert b"canary" not in b"".join(collector.raw)
    # The log of the worker says which trace an attempt belongs to.
    assert f"traceparent=00-{request.trace_id}-" in log


def named(spans: list[Span], name: str) -> list[Span]:
    """The spans of a name, the earliest first."""
    return sorted((span for span in spans if span.name == name), key=lambda span: span.start_ns)


def two(collector: Collector, name: str) -> list[Span]:
    """Two spans of a name, once they are there."""
    found = named(list(collector.spans), name)
    return found if len(found) == 2 else []


def check_steps(spans: list[Span], attempt: Span, least: set[str]) -> None:
    """An attempt's laps lie within it, one behind the other, and the steps of SMTP within theirs."""
    claim, compose, smtp, settle = children(spans, attempt)

    assert [lap.name for lap in (claim, compose, smtp, settle)] == ["claim", "compose", "smtp", "settle"]
    assert {step.name.removeprefix("smtp ") for step in children(spans, smtp)} >= least


def children(spans: list[Span], parent: Span) -> list[Span]:
    """The spans within one, in their order; they do not overlap."""
    found = sorted((span for span in spans if span.parent_id == parent.span_id), key=lambda span: span.start_ns)
    times = [parent.start_ns, *(time for span in found for time in (span.start_ns, span.end_ns)), parent.end_ns]

    assert times == sorted(times), [(span.name, span.start_ns, span.end_ns) for span in [parent, *found]]
    return found


def test_an_attempt_that_the_end_of_the_worker_waits_for_is_told(
    post: Post, tls_server: SmtpServer, collector: Collector
) -> None:
    """Its spans leave before the process does, although their next turn is an hour away."""
    tls_server.add_rules(at("END_OF_DATA").hold())
    post.more |= {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "3600000"}
    with post.worker() as worker, post.mailer() as mailer:
        mailer.send(a_message(), post.session(tls_server))
        tls_server.wait_for(lambda: tls_server.open_transactions == 1)
        worker.send(signal.SIGTERM)
        wait_until(lambda: "Warm shutdown" in worker.log, TIMEOUT_S)
        tls_server.release()

        assert worker.wait() == 0
    assert [span.attributes["postroom.state"] for span in named(collector.spans, "deliver postroom.normal")] == ["sent"]


@pytest.mark.parametrize("is_hanging", [True, False], ids=["hanging", "closed"])
def test_a_collector_that_is_away_changes_nothing(post: Post, tls_server: SmtpServer, *, is_hanging: bool) -> None:
    """Mail goes on, and the worker ends long before its exporter would give up, which here takes ten minutes."""
    with SilentListener() as hanging:
        port = hanging.port if is_hanging else free_port()
        post.more |= {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}", "OTEL_EXPORTER_OTLP_TIMEOUT": "600"}
        with post.worker() as worker, post.mailer() as mailer:
            outcome = mailer.send(a_message(), post.session(tls_server)).outcome(timeout=TIMEOUT_S)

            assert outcome.state == "sent"
            assert worker.stop() == 0
            assert "did not take the last spans" in worker.log


# A program that sets the SDK up and is a worker then, as `opentelemetry-instrument` makes of one.
INSTRUMENTED = """
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

class Print(SpanExporter):
    def export(self, spans):
        for span in spans:
            print(f"SPAN {span.name} {span.resource.attributes['service.name']}")
        return SpanExportResult.SUCCESS

trace.set_tracer_provider(TracerProvider(resource=Resource.create({"service.name": "of the host"})))
trace.get_tracer_provider().add_span_processor(SimpleSpanProcessor(Print()))
import postroom_worker.__main__
postroom_worker.__main__.main()
"""


def test_a_program_that_has_set_the_sdk_up_gets_the_spans(post: Post, tls_server: SmtpServer) -> None:
    """Without a variable, and under the name that it has chosen."""
    with post.worker(starter=["-c", INSTRUMENTED]) as worker, post.mailer() as mailer:
        assert mailer.send(a_message(), post.session(tls_server)).outcome(timeout=TIMEOUT_S).state == "sent"
        wait_until(lambda: "SPAN deliver postroom.normal of the host" in worker.log, TIMEOUT_S)


def test_without_the_variables_no_exporter_is_imported(post: Post) -> None:
    """Neither where mail is handed over nor in a worker; redis-py imports OpenTelemetry's metrics by itself."""
    text = (
        "import sys; import postroom.mailer, postroom_worker.app, postroom_worker.traces as traces; traces.begin();"
        "print('opentelemetry.exporter' in sys.modules)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", text], env={**os.environ, **post.environment}, capture_output=True, text=True, check=True
    )

    assert ended.stdout == "False\n"
