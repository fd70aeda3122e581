"""Workers on our transport, with the server, the producer and the journal that belong to them."""

import contextlib
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import pytest
from celery import Celery
from kombu import Connection, Consumer, Queue

from postroom_broker.transport import Transport, custody
from postroom_broker.transport.names import Names
from postroom_contract.names import QUEUE_NORMAL, QUEUES
from tests.conftest import program_of
from tests.support import pool_app, transport_app
from tests.support.celery_worker import CeleryWorker
from tests.support.leaked_keys import find_leaked_keys
from tests.support.valkey import ValkeyServer, connect
from tests.support.waiting import wait_until

# What a loaded two-core machine may take over a matter of milliseconds.
TIMEOUT_S = 30.0


class Bench:
    """One server and what works on it."""

    def __init__(self, server: ValkeyServer, directory: Path) -> None:
        self.server = server
        self.directory = directory
        self.client = connect(server.url)
        self.journal = pool_app.Journal(directory)
        self._ending = ExitStack()
        self._workers = 0
        self.app = self.make_app()

    def make_app(self, *, stock: bool = False) -> Celery:
        """Return a producer."""
        app = transport_app.make_app({pool_app.BROKER: self.server.url}, stock=stock)
        self._ending.callback(app.close)
        return app

    def worker(self, *options: str, stock: bool = False, **settings: object) -> CeleryWorker:
        """Start a worker; it is killed at the end of the test unless it has gone before."""
        self._workers += 1
        environment = {
            pool_app.BROKER: self.server.url,
            pool_app.DIRECTORY: str(self.directory),
            pool_app.SETTINGS: json.dumps(settings),
            **({transport_app.STOCK: "yes"} if stock else {}),
        }
        log = self.directory / f"worker-{self._workers}.log"
        name = ("--hostname", f"w{self._workers}@%h")
        worker = CeleryWorker("tests.support.transport_app", log, environment, (*name, *options))
        worker.start()
        self._ending.callback(worker.kill)
        return worker

    def send(self, *names: str, app: Celery | None = None, queue: str = QUEUE_NORMAL, **options: Any) -> None:
        """Publish a task for each name, which waits for the gate `hold` unless that is open."""
        for name in names:
            (app or self.app).tasks["test.hold"].apply_async((name,), queue=queue, routing_key=queue, **options)

    def open_gate(self) -> None:
        """Let all tasks end, also those to come."""
        self.journal.open_gate("hold")

    def names_of(self, event: str) -> list[str]:
        """Return the name of each task that something happened to, as often as it happened."""
        return [line[1] for line in self.journal.lines() if line[0] == event and len(line) > 1]

    def wait_for(self, condition: Callable[[], Any], what: str = "", timeout_s: float = TIMEOUT_S) -> None:
        """Wait until something holds; a failure shows what all workers said."""
        try:
            wait_until(condition, timeout_s, what)
        except AssertionError as late:
            logs = "\n".join(f"{log.name}:\n{log.read_text()[-3000:]}" for log in self.directory.glob("*.log"))
            raise AssertionError(f"{late}\n{logs}") from None

    def wait_until_done(self, *names: str) -> None:
        """Wait until each of these has finished and nothing is left in any queue."""
        self.wait_for(lambda: set(names) <= set(self.names_of("finish")), f"{len(names)} tasks to finish")
        self.wait_for(lambda: self.held() == self.waiting() == 0, "the last acknowledgement")

    def held(self) -> int:
        """Return how many messages workers have taken and not given back."""
        return int(self.client.hlen("unacked"))

    def waiting(self) -> int:
        """Return how many messages lie in the queues."""
        keys = [key for queue in QUEUES for key in (queue, f"{queue}.front")]
        return sum(int(self.client.llen(key)) for key in keys)

    def dead(self) -> list[dict[str, Any]]:
        """Return the dead letters."""
        return [json.loads(entry) for entry in self.client.lrange("postroom.dead", 0, -1)]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.close()
        self.client.close()


@pytest.fixture(scope="module")
def server(
    request: pytest.FixtureRequest, valkey_program: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ValkeyServer]:
    """An append-only server of this module's own, which a test may stop and start again; `on_each("server")` sets its kind."""
    program = program_of(request.param) if hasattr(request, "param") else valkey_program
    with ValkeyServer(program, tmp_path_factory.mktemp("transport-valkey"), append_only=True) as server:
        yield server


@pytest.fixture
def bench(server: ValkeyServer, tmp_path: Path) -> Iterator[Bench]:
    """A bench on an empty database; afterwards no key may stay for ever."""
    with connect(server.url) as client:
        client.flushall()
    with Bench(server, tmp_path) as bench:
        yield bench
    leaked = find_leaked_keys(server.url)
    assert not leaked, f"keys without expiry, not named in tests/support/leaked_keys.py: {leaked}"


NAMES = Names(
    prefix="",
    unacked="unacked",
    index="unacked_index",
    delayed="postroom.delayed",
    delayed_messages="postroom.delayed.messages",
    dead="postroom.dead",
    bindings="_kombu.binding.%s",
    separator="\x06\x16",
    priority_steps=(0,),
)


def message(name: str, queue: str = QUEUE_NORMAL, **headers: object) -> str:
    """Return a message as kombu writes it."""
    info = {"exchange": "", "routing_key": queue}
    properties = {"delivery_tag": f"tag-{name}", "delivery_info": info, "priority": 0, "body_encoding": None}
    return json.dumps({"body": name, "headers": {"id": name, **headers}, "properties": properties})


@pytest.fixture
def url(server: ValkeyServer) -> Iterator[str]:
    """The module's server with an empty database."""
    with connect(server.url) as client:
        client.flushall()
    yield server.url
    assert find_leaked_keys(server.url) == []


@pytest.fixture
def client(url: str) -> Iterator[Any]:
    """A plain client of it."""
    with connect(url) as client:
        yield client


@pytest.fixture
def connection(url: str) -> Iterator[Connection]:
    """A connection of kombu over our transport, in this process; afterwards nothing of it works on."""
    with Connection(url, transport=Transport, transport_options={"priority_steps": [0]}) as connection:
        yield connection
    for kept in custody._custodies.values():
        kept.end()
    custody._custodies.clear()
    custody.renew_only_while(lambda: True)


def consume(connection: Any, queue: str = QUEUE_NORMAL, **options: Any) -> list[Any]:
    """Consume from a queue on a new channel, and return the list to which messages come."""
    taken: list[Any] = []
    channel = connection.channel()
    channel.basic_qos(0, options.pop("prefetch", 0), False)  # noqa: FBT003 -- kombu's signature
    Consumer(
        channel, [Queue(queue, routing_key=queue)], callbacks=[lambda _, got: taken.append(got)], **options
    ).consume()
    return taken


def drain(connection: Any, condition: Callable[[], object]) -> None:
    """Turn kombu's loop until something holds."""

    def turn() -> object:
        with contextlib.suppress(TimeoutError):
            connection.drain_events(timeout=0.05)
        return condition()

    wait_until(turn, TIMEOUT_S)
