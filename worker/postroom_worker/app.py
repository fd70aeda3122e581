"""The Celery application of the worker: its settings, its queues, its two tasks.

Owns every Celery setting with its reason, and the life of what a worker process shares (session cache, keys). Beat and
Flower load it too, without keys: those are read when a worker starts. It never becomes the host program's current app.
"""

from __future__ import annotations

import logging
import sys
import time
from importlib.metadata import version
from typing import Any, NoReturn

from celery import Celery, bootsteps, signals
from kombu import Queue

import postroom_broker.celery_results  # noqa: F401 -- lets Celery store our outcomes
from postroom_broker.presence import Presence, digests_of
from postroom_broker.transport import NamedConnection, renew_only_while, work_is
from postroom_contract.environment import Environment
from postroom_contract.error_codes import ErrorCode
from postroom_contract.errors import SettingsException
from postroom_contract.names import ALL_QUEUES, QUEUE_NORMAL
from postroom_worker import events, traces
from postroom_worker.desk import CANCEL_S, Desk, worker_settings
from postroom_worker.health import ShowHealth
from postroom_worker.log_format import spell_json, spell_warnings_json
from postroom_worker.metrics import BrokerWatch, Endpoint, Metrics, ProcessWatch
from postroom_worker.pool import loop_draining, loop_stopping
from postroom_worker.presence import Beat, ShowPresence
from postroom_worker.settings import read_concurrency, read_log_format, read_servers
from postroom_worker.tasks import DeliverTask
from postroom_worker.telling import TellTask

# How long a message stays with a worker of which nothing is heard; a living one renews it for as long as a send takes.
LEASE_S = 20
# A worker whose loop has not turned for so long is wedged: it must lose its leases, and its messages go to another.
LONGEST_STANDSTILL_S = 5.0
# A day to fetch the outcome, as the README promises.
RESULT_EXPIRY_S = 24 * 3600
TLS_SCHEME = "rediss://"
# As every other connection of ours: the certificate has to be right, and for that host.
CHECKED_TLS = {"ssl_cert_reqs": "required", "ssl_check_hostname": True}
# What sysexits.h calls a configuration error.
EXIT_BAD_SETTINGS = 78


class PostroomCelery(Celery):
    """A Celery app that uses the two servers it was given, whatever a host's own `CELERY_*` variables say."""

    def __init__(self, broker_url: str, result_url: str) -> None:
        super().__init__("postroom", broker=broker_url, backend=result_url, set_as_current=False)
        self._broker_url = broker_url
        # Without this kombu takes `rediss://` and speaks in the clear, password and all; and Celery refuses such a result URL.
        if broker_url.startswith(TLS_SCHEME):
            self.conf.broker_use_ssl = dict(CHECKED_TLS)
        if result_url.startswith(TLS_SCHEME):
            self.conf.redis_backend_use_ssl = dict(CHECKED_TLS)
        self.desk: Desk
        # Celery looks here first, and only then at CELERY_RESULT_BACKEND.
        self.backend_cls = result_url

    def _connection(self, url: str, **options: Any) -> Any:  # noqa: ARG002 -- Celery's own signature
        return super()._connection(self._broker_url, **options)  # type: ignore[misc]

    def presence_of(self, worker: Any) -> Beat:
        """What makes a started worker show; not yet started."""
        settings = worker_settings()
        presence = Presence(
            name=worker.hostname,
            version=version("postroom"),
            concurrency=worker.concurrency,
            lease_s=LEASE_S,
            key_ids=settings.keyring.ids,
            key_digests=digests_of(settings.keyring),
            password_key_digests=digests_of(settings.password_keyring),
            has_webhook_secret=bool(settings.webhook_secrets),
        )
        return Beat(self._broker_url, presence, lambda: time.monotonic() - worker.pool.loop_turned_at)


def make_app(broker_url: str, result_url: str) -> PostroomCelery:
    """The app for a broker and a result server."""
    app = PostroomCelery(broker_url, result_url)
    app.amqp.Connection = NamedConnection
    app.conf.update(
        task_queues=[Queue(name, routing_key=name) for name in ALL_QUEUES],
        task_default_queue=QUEUE_NORMAL,
        # JSON only: a pickle in the queue would run whatever its author likes.
        task_serializer="json",
        result_serializer="json",
        accept_content=["json"],
        result_accept_content=["json"],
        # Acknowledged when the outcome is stored, so that a crash leaves the message in Redis.
        task_acks_late=True,
        task_acks_on_failure=True,
        task_acks_on_timeout=True,
        worker_pool="postroom_worker.pool:TaskPool",
        # One message per slot: what waits should wait in Redis, where another worker can take it.
        worker_prefetch_multiplier=1,
        # A blip of the broker must not break off a mail in the middle and send it again.
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_send_task_events=False,
        worker_disable_rate_limits=True,
        beat_scheduler="postroom.beat.scheduler:SlotScheduler",
        broker_connection_retry_on_startup=True,
        # Wait for Redis however long it is away.
        broker_connection_max_retries=None,
        # The same where it answers and refuses: a replica that is about to take over, a server without memory.
        broker_channel_error_retry=True,
        # Ours: a message is leased in the call that takes it, so that `kill -9` loses nothing.
        broker_transport="postroom_broker.transport:Transport",
        broker_transport_options={
            "visibility_timeout": LEASE_S,
            "priority_steps": [0],
        },
        result_backend_always_retry=True,
        result_backend_max_retries=5,
        result_expires=RESULT_EXPIRY_S,
        # Would store the task's arguments beside the outcome.
        result_extended=False,
        timezone="UTC",
        enable_utc=True,
    )
    desk = app.desk = Desk(broker_url, result_url)
    app.register_task(DeliverTask(desk.office, desk.claims))
    app.register_task(TellTask(lambda: desk.office().keyring, desk.teller, desk.grave))
    app.steps["worker"].add(OpenOffice)
    app.steps["worker"].add(ShowLife)
    app.steps["worker"].add(ShowPresence)
    app.steps["worker"].add(ShowHealth)
    app.steps["worker"].add(ServeMetrics)
    app.steps["worker"].add(MakeTraces)
    loop_draining.connect(desk.turn_away, weak=False)
    loop_stopping.connect(desk.close, weak=False)
    return app


class OpenOffice(bootsteps.StartStopStep):
    """Reads keys and settings before a worker takes its first message; a wrong one ends the start."""

    def __init__(self, worker: Any, **options: Any) -> None:
        try:
            settings = worker_settings()
        except SettingsException as wrong:
            refuse_start(wrong)
        worker.app.desk.slots = worker.concurrency
        worker.app.conf.update(postroom_drain_s=settings.drain_s, postroom_cancel_s=CANCEL_S)
        super().__init__(worker, **options)


class ShowLife(bootsteps.StartStopStep):
    """Lets the transport renew leases only while the loop that sends the mail turns, and only of mail that is worked at."""

    requires = ("celery.worker.components:Pool",)

    def start(self, worker: Any) -> None:
        """Tie the leases to the pool's loop."""
        renew_only_while(lambda: time.monotonic() - worker.pool.loop_turned_at < LONGEST_STANDSTILL_S)
        work_is(lambda: worker.pool.delivery_tags)


class MakeTraces(bootsteps.StartStopStep):
    """Sends spans where OpenTelemetry's variables ask for them."""

    requires = (OpenOffice,)

    def start(self, worker: Any) -> None:  # noqa: ARG002 -- Celery's own signature
        """Make spans of what happens from now on."""
        self._traces = traces.begin()

    def terminate(self, worker: Any) -> None:
        """Send the last ones."""
        self.stop(worker)

    def stop(self, worker: Any) -> None:  # noqa: ARG002
        """Send the last ones."""
        if self._traces is not None:
            self._traces.close()


class ServeMetrics(bootsteps.StartStopStep):
    """Lets Prometheus ask, where a port is set, until the process ends: its last sends are worth counting too.

    A port that is taken ends the start. Without that, nobody would notice that a worker is not watched.
    """

    requires = (OpenOffice, "celery.worker.components:Pool")

    def __init__(self, worker: Any, **options: Any) -> None:
        super().__init__(worker, **options)
        self._endpoint: Endpoint | None = None
        settings = worker_settings()
        if not settings.metrics_port:
            return
        self._metrics = Metrics()
        try:
            self._endpoint = Endpoint(self._metrics, settings.metrics_host, settings.metrics_port)
        except OSError as error:
            place = f"{settings.metrics_host} port {settings.metrics_port}"
            detail = f"POSTROOM_METRICS_PORT: metrics cannot be shown at {place} ({error.strerror})"
            refuse_start(SettingsException(ErrorCode.BAD_SETTINGS, {"detail": detail}))

    def start(self, worker: Any) -> None:
        """Count what happens from now on."""
        if self._endpoint is None:
            return
        pool, desk = worker.pool, worker.app.desk
        self._metrics.watch(
            ProcessWatch(desk.stats, lambda: pool.in_flight, lambda: time.monotonic() - pool.loop_turned_at)
        )
        self._metrics.watch(BrokerWatch(desk.counter().count))
        events.listen(self._metrics.take)


def refuse_start(wrong: SettingsException) -> NoReturn:
    """Say what is wrong with the settings, and end the program."""
    print(f"postroom: {wrong}", file=sys.stderr)  # noqa: T201 -- logging is not set up yet
    raise SystemExit(EXIT_BAD_SETTINGS) from None


def _spell_json(logger: logging.Logger, **_: Any) -> None:
    spell_json(logger)


def app_from_env() -> PostroomCelery:
    """The app for the Redis that the environment names."""
    environment = Environment()
    broker_url, result_url = read_servers(environment)
    concurrency = read_concurrency(environment)
    log_format = read_log_format(environment)
    environment.refuse_mistakes()
    if log_format == "json":
        spell_warnings_json()
        # Celery tells of each logger that it has set up, with its handlers; a second app changes nothing.
        for set_up in (signals.after_setup_logger, signals.after_setup_task_logger):
            set_up.connect(_spell_json, dispatch_uid="postroom-log-format")
    app = make_app(broker_url, result_url)
    # Celery's own default is one for each CPU.
    app.conf.worker_concurrency = concurrency
    return app
