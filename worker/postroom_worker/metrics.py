"""What Prometheus is told of a worker process, and the port on which it asks.

Owns the names, labels and buckets of all metrics; `docs/metrics.md` lists them. Labels are words of ours, never a host, a
user or an address. Deliveries are counted as their events are told; sessions, the loop and what waits at the broker are
looked at when somebody asks, on the endpoint's thread. `app` starts it where a port is set.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import version

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Histogram, Info, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from postroom_broker.backlog import Backlog
from postroom_contract.error_codes import HINTS, ErrorCode
from postroom_contract.errors import BrokerUnavailable
from postroom_contract.outcome import OUTCOMES, State
from postroom_worker.events import AttemptEnded, AttemptOvertaken, BugMet, Event, NewsTold
from postroom_worker.smtp import CacheStats, Step
from postroom_worker.verdict import FailureClass

# A label that has nothing to say.
NONE = "none"
# A delivery's way through an idle queue takes milliseconds; one that waits for a greylist minutes, behind a bulk hours.
WAIT_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600)
# From a pipelined transaction on the same machine up to the ten minutes for the last reply (RFC 5321 section 4.5.3.2.6).
ATTEMPT_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 600)
STEP_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


class Metrics:
    """The metrics of one worker process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._info = Info("postroom_worker", "The version of Postroom.", registry=self.registry)
        self._info.info({"version": version("postroom")})
        self._deliveries = self._counter("deliveries", "Deliveries that are over.", "state", "code")
        self._attempts = self._counter("attempts", "Attempts, by what came of each.", "result")
        self._retries = self._counter("retries", "Attempts that are made again, by why.", "failure", "code", "reason")
        self._throttles = self._counter("throttles", "Attempts put off because a server wanted less (421, 432, 454).")
        self._held = self._counter("held", "Deliveries left to an operator.", "code", "reason")
        self._recipients = self._counter("recipients", "Recipients of deliveries that are over.", "result")
        self._duplicates = self._counter("possible_duplicates", "Deliveries that somebody may have got twice.")
        self._bugs = self._counter("bugs", "Mistakes of our own.")
        self._news = self._counter("news", "Calls of webhooks and of hosts' tasks.", "result")
        self._wait = self._histogram("queue_seconds", "From when a delivery was due to its attempt.", WAIT_BUCKETS)
        self._attempt = self._histogram("attempt_seconds", "From the claim to the settlement.", ATTEMPT_BUCKETS)
        self._steps = self._histogram("smtp_seconds", "SMTP, by step.", STEP_BUCKETS, "step")
        ProcessCollector(registry=self.registry)
        self._show_what_may_come()

    def take(self, event: Event) -> None:
        """Count an event."""
        match event:
            case AttemptEnded():
                self._take_end(event)
            case AttemptOvertaken():
                self._attempts.labels("overtaken").inc()
            case BugMet():
                self._bugs.inc()
            case NewsTold():
                self._news.labels(event.result).inc()

    def watch(self, collector: Collector) -> None:
        """Ask somebody else too, each time."""
        self.registry.register(collector)

    def _take_end(self, event: AttemptEnded) -> None:
        code = NONE if event.code is None else str(event.code)
        # Of a bug the reason is the kind of exception, of which there is no end.
        reason = NONE if event.reason is None else event.reason if event.reason in HINTS else "other"
        self._attempts.labels(event.state.value).inc()
        self._attempt.observe(event.seconds)
        if event.waited_s is not None:
            self._wait.observe(event.waited_s)
        for step, seconds in event.smtp_s.items():
            self._steps.labels(step).observe(seconds)
        if event.state is State.RETRYING:
            self._retries.labels(event.failure or NONE, code, reason).inc()
            self._throttles.inc(event.failure == FailureClass.THROTTLED)
        elif event.state is State.HELD:
            self._held.labels(code, reason).inc()
        else:
            self._deliveries.labels(event.state.value, code).inc()
            self._duplicates.inc(event.possible_duplicate)
            for result in ("accepted", "refused", "unknown"):
                self._recipients.labels(result).inc(getattr(event, result))

    def _show_what_may_come(self) -> None:
        """Begin at zero: of a series that begins at one, Prometheus does not see the first step."""
        for state in OUTCOMES:
            self._attempts.labels(state.value)
        for result in (State.RETRYING.value, State.HELD.value, "overtaken"):
            self._attempts.labels(result)
        self._deliveries.labels(State.SENT.value, NONE)
        for code in ErrorCode:
            self._deliveries.labels(State.FAILED.value, str(int(code)))
        for state, code in ((State.UNKNOWN, ErrorCode.UNKNOWN_OUTCOME), (State.EXPIRED, ErrorCode.EXPIRED)):
            self._deliveries.labels(state.value, str(int(code)))
        for result in ("accepted", "refused", "unknown"):
            self._recipients.labels(result)
        for result in ("told", "put_off", "dead"):
            self._news.labels(result)
        for step in Step:
            self._steps.labels(step.value)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"postroom_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: Iterable[float], *labels: str) -> Histogram:
        return Histogram(f"postroom_{name}", text, labels, buckets=tuple(buckets), registry=self.registry)


class ProcessWatch(Collector):
    """Looks at the sessions, the slots and the loop of this process."""

    def __init__(
        self, stats: Callable[[], CacheStats], in_flight: Callable[[], int], standstill_s: Callable[[], float]
    ) -> None:
        self._stats = stats
        self._in_flight = in_flight
        self._standstill_s = standstill_s

    def collect(self) -> Iterator[Metric]:
        """Look."""
        stats = self._stats()
        yield CounterMetricFamily("postroom_sessions_opened", "SMTP sessions opened.", stats.opened)
        yield CounterMetricFamily("postroom_sessions_reused", "Messages that found a session open.", stats.reused)
        sessions = GaugeMetricFamily("postroom_sessions", "SMTP sessions now.", labels=["state"])
        sessions.add_metric(["busy"], stats.busy)
        sessions.add_metric(["idle"], stats.idle)
        yield sessions
        yield GaugeMetricFamily("postroom_sessions_awaited", "Messages that wait for a session.", stats.waiting)
        yield GaugeMetricFamily("postroom_in_flight", "Messages that have a slot in this process.", self._in_flight())
        text = "How long ago the loop that sends the mail had its last turn."
        yield GaugeMetricFamily("postroom_loop_standstill_seconds", text, self._standstill_s())


class BrokerWatch(Collector):
    """Looks at what waits at the broker; one that is away is told as such, and costs the answer nothing else."""

    def __init__(self, count: Callable[[], Backlog]) -> None:
        self._count = count

    def collect(self) -> Iterator[Metric]:
        """Look."""
        try:
            backlog = self._count()
        except BrokerUnavailable:
            backlog = None
        yield GaugeMetricFamily("postroom_broker_up", "Whether the broker answers.", int(backlog is not None))
        if backlog is None:
            return
        depth = GaugeMetricFamily("postroom_queue_messages", "Messages that wait in a queue.", labels=["queue"])
        text = "For how long the message that a queue gives out next could have been sent."
        age = GaugeMetricFamily("postroom_queue_oldest_seconds", text, labels=["queue"])
        for name, queue in backlog.queues.items():
            depth.add_metric([name], queue.messages)
            if queue.oldest_s is not None:
                age.add_metric([name], queue.oldest_s)
        yield depth
        yield age
        yield GaugeMetricFamily("postroom_leased_messages", "Messages that workers hold.", backlog.leased)
        yield GaugeMetricFamily("postroom_delayed_messages", "Messages that wait for their time.", backlog.delayed)
        text = "By how much the first of the delayed messages is late."
        yield GaugeMetricFamily("postroom_delayed_late_seconds", text, backlog.late_s)
        yield GaugeMetricFamily("postroom_held_messages", "Messages that wait for an operator's word.", backlog.held)
        yield GaugeMetricFamily("postroom_dead_messages", "Messages that no worker could finish.", backlog.dead)


class Endpoint:
    """The port on which Prometheus asks."""

    def __init__(self, metrics: Metrics, host: str, port: int) -> None:
        """Listen, and answer on a thread of its own.

        Raises:
            OSError: the port is taken, or the address is none of this machine.
        """
        # When a counter began, Prometheus learns from the process' start time; a series each would be twice as many.
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call] # it has no annotations
        self._server, self._thread = prometheus_client.start_http_server(port, host, metrics.registry)

    def close(self) -> None:
        """Answer nobody any more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
