"""The metrics of one process: what each event counts as, and what a scrape looks at."""

from __future__ import annotations

import socket
import urllib.request

import pytest

from postroom.testing import free_port
from postroom_broker.backlog import Backlog, Counter, QueueBacklog
from postroom_contract.outcome import State
from postroom_worker.events import AttemptEnded, AttemptOvertaken, BugMet
from postroom_worker.metrics import BrokerWatch, Endpoint, Metrics, ProcessWatch
from postroom_worker.smtp import CacheStats


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    """One series."""
    return metrics.registry.get_sample_value(name, labels)


def test_a_retry_is_counted_by_why() -> None:
    """A throttle has a counter of its own besides; the delivery is not over."""
    metrics = Metrics()
    for failure in ("throttled", "connection"):
        metrics.take(AttemptEnded("id", State.RETRYING, code=1301, reason="disconnected", failure=failure))

    assert value(metrics, "postroom_throttles_total") == 1
    assert value(metrics, "postroom_attempts_total", result="retrying") == 2
    labels = {"failure": "throttled", "code": "1301", "reason": "disconnected"}
    assert value(metrics, "postroom_retries_total", **labels) == 1
    assert value(metrics, "postroom_recipients_total", result="accepted") == 0


def test_an_end_counts_the_delivery_its_recipients_and_its_doubts() -> None:
    """By state and code."""
    metrics = Metrics()
    metrics.take(
        AttemptEnded("id", State.PARTIAL, code=1301, accepted=3, refused=2, possible_duplicate=True, waited_s=2.0)
    )

    assert value(metrics, "postroom_deliveries_total", state="partial", code="1301") == 1
    assert value(metrics, "postroom_recipients_total", result="accepted") == 3
    assert value(metrics, "postroom_recipients_total", result="refused") == 2
    assert value(metrics, "postroom_possible_duplicates_total") == 1
    assert value(metrics, "postroom_queue_seconds_sum") == 2.0


def test_a_reason_that_is_no_word_of_ours_is_another() -> None:
    """Of a bug the reason is the kind of exception: labels without an end would fill Prometheus."""
    metrics = Metrics()
    metrics.take(AttemptEnded("id", State.HELD, code=1500, reason="ZeroDivisionError"))
    metrics.take(BugMet("id", "ZeroDivisionError", "here:1"))
    metrics.take(AttemptOvertaken("id", "lost"))

    assert value(metrics, "postroom_held_total", code="1500", reason="other") == 1
    assert value(metrics, "postroom_bugs_total") == 1
    assert value(metrics, "postroom_attempts_total", result="overtaken") == 1


def test_a_scrape_looks_at_sessions_slots_and_loop() -> None:
    """As they are at that moment."""
    metrics = Metrics()
    stats = CacheStats(opened=7, reused=5, busy=3, idle=2, waiting=1)
    metrics.watch(ProcessWatch(lambda: stats, lambda: 9, lambda: 0.25))

    assert value(metrics, "postroom_sessions_opened_total") == 7
    assert value(metrics, "postroom_sessions_reused_total") == 5
    assert value(metrics, "postroom_sessions", state="busy") == 3
    assert value(metrics, "postroom_sessions", state="idle") == 2
    assert value(metrics, "postroom_sessions_awaited") == 1
    assert value(metrics, "postroom_in_flight") == 9
    assert value(metrics, "postroom_loop_standstill_seconds") == 0.25


def test_a_queue_of_unknown_age_has_no_age() -> None:
    """Rather than one that looks new."""
    metrics = Metrics()
    queues = {"a": QueueBacklog(3, 12.5), "b": QueueBacklog(1, None)}
    metrics.watch(BrokerWatch(lambda: Backlog(queues, leased=4, delayed=5, late_s=6.0, held=7, dead=8)))

    assert value(metrics, "postroom_broker_up") == 1
    assert value(metrics, "postroom_queue_messages", queue="b") == 1
    assert value(metrics, "postroom_queue_oldest_seconds", queue="a") == 12.5
    assert value(metrics, "postroom_queue_oldest_seconds", queue="b") is None
    assert value(metrics, "postroom_leased_messages") == 4
    assert value(metrics, "postroom_delayed_messages") == 5
    assert value(metrics, "postroom_delayed_late_seconds") == 6
    assert value(metrics, "postroom_held_messages") == 7
    assert value(metrics, "postroom_dead_messages") == 8


def test_a_broker_that_is_away_leaves_the_rest_to_be_asked() -> None:
    """The endpoint answers over HTTP: the broker is down, and the counters are there."""
    metrics, port = Metrics(), free_port()
    counter = Counter(f"redis://127.0.0.1:{free_port()}/0")
    metrics.watch(BrokerWatch(counter.count))
    endpoint = Endpoint(metrics, "127.0.0.1", port)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
            text = answer.read().decode()
    finally:
        endpoint.close()
        counter.close()

    assert "postroom_broker_up 0.0" in text
    assert 'postroom_deliveries_total{code="none",state="sent"} 0.0' in text
    assert "postroom_queue_messages" not in text


def test_a_port_that_is_taken_is_an_error_of_the_system() -> None:
    """The app says it in one line."""
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        Endpoint(Metrics(), "127.0.0.1", taken.getsockname()[1])
