"""One trace from a web request to the mail server's reply, through the queue and a retry; and nothing personal in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from postroom.testing import SmtpServer, at, free_port
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

with trace.get_tracer("shop").start_as_current_span("POST /orders", kind=trace.SpanKind.SERVER):
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
    with post.worker() as worker:
        environment = {**os.environ, **post.environment}
        ended = subprocess.run(
            [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True
        )
        receipt_id = json.loads(ended.stdout)["receipt"]
        attempts = wait_until(lambda: two(collector, "deliver"), TIMEOUT_S, "two attempts")
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
    check_steps(spans, attempts[0], {"connect", "tls", "greeting", "auth", "envelope"})
    check_steps(spans, attempts[1], {"envelope", "body", "commit", "reply"})
    assert attempts[0].attributes["postroom.smtp_code"] == 450
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
    """An attempt's steps lie within it, one behind the other."""
    steps = sorted((span for span in spans if span.parent_id == attempt.span_id), key=lambda span: span.start_ns)

    assert {step.name.removeprefix("smtp ") for step in steps} >= least
    assert all(attempt.start_ns <= step.start_ns <= step.end_ns <= attempt.end_ns for step in steps)


def test_a_collector_that_is_away_changes_nothing(post: Post, tls_server: SmtpServer) -> None:
    """Mail goes on, and the worker ends in time."""
    post.more["OTEL_EXPORTER_OTLP_ENDPOINT"] = f"http://127.0.0.1:{free_port()}"
    with post.worker() as worker, post.mailer() as mailer:
        outcome = mailer.send(a_message(), post.session(tls_server)).outcome(timeout=TIMEOUT_S)

        assert outcome.state == "sent"
        assert worker.stop() == 0


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
