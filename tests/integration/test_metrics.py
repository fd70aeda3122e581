"""What a running worker shows to Prometheus, asked over HTTP, after mail that was sent, refused and put off."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.error import URLError

import pytest
from prometheus_client.parser import text_string_to_metric_families

from postroom import Failed, Sent
from postroom.testing import CertificateKit, SmtpServer, at, free_port
from postroom_worker.settings import WorkerSettings
from tests.support.post import Post, a_message
from tests.support.valkey import ValkeyServer
from tests.support.waiting import wait_until

# Series by name and labels.
Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


def scrape(port: int) -> Series:
    """What the worker shows now."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        text = answer.read().decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(series: Series, name: str, **labels: str) -> float:
    """One series."""
    return series[name, frozenset(labels.items())]


@contextmanager
def a_watched_worker(post: Post, **variables: str) -> Iterator[int]:
    """A running worker, and the port on which it shows its metrics."""
    port = free_port()
    with post.worker(POSTROOM_METRICS_PORT=str(port), **variables):
        yield port


def test_deliveries_retries_times_and_sessions_are_counted(post: Post) -> None:
    """One sent at once, one after a throttle, one refused for good: each is in its series, and so is its time."""
    rules = [
        at("RCPT").matching("later@").reply("421 4.7.0 Slow down, try again in 1 second").times(1),
        at("RCPT").matching("nobody@").reply("550 5.1.1 No such user"),
    ]
    with SmtpServer(rules=rules) as server, a_watched_worker(post) as port, post.mailer() as mailer:
        session = post.session(server, use_ssl=False, password=None)
        before = scrape(port)
        outcomes = [
            mailer.send(a_message(to=[f"{name}@example.com"]), session).outcome(timeout=60)
            for name in ("ann", "later", "nobody")
        ]
        wait_until(lambda: value(scrape(port), "postroom_attempt_seconds_count") == 4, 30, "the events")
        after = scrape(port)

    assert [type(outcome) for outcome in outcomes] == [Sent, Sent, Failed]
    assert value(before, "postroom_deliveries_total", state="sent", code="none") == 0
    assert value(after, "postroom_deliveries_total", state="sent", code="none") == 2
    assert value(after, "postroom_deliveries_total", state="failed", code="1301") == 1
    assert value(after, "postroom_attempts_total", result="sent") == 2
    assert value(after, "postroom_attempts_total", result="retrying") == 1
    assert value(after, "postroom_throttles_total") == 1
    assert value(after, "postroom_recipients_total", result="accepted") == 2
    assert value(after, "postroom_queue_seconds_count") == 4
    assert value(after, "postroom_smtp_seconds_count", step="reply") == 2
    assert value(after, "postroom_smtp_seconds_count", step="envelope") == 4
    told = {told for _, labels in after for name, told in labels if name not in {"le", "version"}}
    assert all(re.fullmatch(r"[a-z_]+|postroom\.[a-z]+|\d{3,4}", each) for each in told), (
        "a label of somebody else's words"
    )
    opened, reused = value(after, "postroom_sessions_opened_total"), value(after, "postroom_sessions_reused_total")
    assert opened + reused == 4
    assert value(after, "postroom_broker_up") == 1


def test_what_waits_is_shown_with_its_age_and_a_lost_redis_as_such(
    valkey_program: Path, tmp_path: Path, certificates: CertificateKit
) -> None:
    """While Redis is away the endpoint answers, says so, and shows what the process knows."""
    with ValkeyServer(valkey_program, tmp_path, append_only=True) as redis:
        post = Post(redis.url, tmp_path, certificates.ca_file)
        hold = [at("END_OF_DATA").hold()]
        with SmtpServer(rules=hold) as server, a_watched_worker(post, POSTROOM_CONCURRENCY="1") as port:
            session = post.session(server, use_ssl=False, password=None)
            with post.mailer() as mailer:
                for number in range(3):
                    mailer.send(a_message(number), session)
                mailer.send(a_message(3), session, send_at=datetime.now(UTC) + timedelta(days=1))
            server.wait_for(lambda: server.open_transactions == 1)
            wait_until(lambda: value(scrape(port), "postroom_leased_messages") >= 1, 30, "the lease")
            busy = scrape(port)
            redis.kill()
            away = scrape(port)
            redis.start()
            server.release()
            wait_until(lambda: value(scrape(port), "postroom_broker_up") == 1, 30, "Redis")

    waiting = value(busy, "postroom_queue_messages", queue="postroom.normal")
    assert waiting + value(busy, "postroom_leased_messages") == 3
    assert value(busy, "postroom_queue_oldest_seconds", queue="postroom.normal") >= 0
    assert value(busy, "postroom_delayed_messages") == 1
    assert value(busy, "postroom_delayed_late_seconds") == 0
    assert value(busy, "postroom_in_flight") == 1
    assert value(busy, "postroom_sessions", state="busy") == 1
    assert value(away, "postroom_broker_up") == 0
    assert not [name for name, _ in away if name.startswith("postroom_queue_messages")]
    assert value(away, "postroom_in_flight") == 1


def test_no_port_is_open_unless_one_is_set(post: Post) -> None:
    """And the address is loopback unless another is set: nobody on the network may look."""
    port = free_port()
    with post.worker(), pytest.raises(URLError):
        scrape(port)
    assert WorkerSettings.from_env(post.environment).metrics_host == "127.0.0.1"
