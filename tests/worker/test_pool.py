"""The asyncio pool in real worker processes on a real broker: outcomes, limits, revokes, and every way of stopping."""

import json
import re
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from celery.exceptions import SoftTimeLimitExceeded, TaskRevokedError, TimeLimitExceeded
from celery.result import AsyncResult

from postroom_worker.pool import TaskPool
from tests.support import pool_app
from tests.support.celery_worker import CeleryWorker
from tests.support.leaked_keys import find_leaked_keys
from tests.support.valkey import ValkeyServer, connect
from tests.support.waiting import wait_until

# What a loaded two-core machine may take over a matter of milliseconds.
TIMEOUT_S = 20.0

QUEUE = "postroom.pool-test"


@dataclass
class Bench:
    """An app and its tasks, with the broker, the journal and the worker log that belong to it."""

    url: str
    directory: Path
    app: Celery
    journal: pool_app.Journal

    def send(self, task: str, *args: object, **options: Any) -> AsyncResult[Any]:
        """Publish a task."""
        return self.app.tasks[f"test.{task}"].apply_async(args, **options)

    def hold(self, *names: str, task: str = "hold") -> dict[str, AsyncResult[Any]]:
        """Publish tasks that wait for the gate of their own name."""
        return {name: self.send(task, name, name) for name in names}

    def worker(self, *options: str, **settings: object) -> CeleryWorker:
        """Make a worker of this app; the test starts it."""
        environment = {
            pool_app.BROKER: self.url,
            pool_app.QUEUE: QUEUE,
            pool_app.DIRECTORY: str(self.directory),
            pool_app.SETTINGS: json.dumps(settings),
        }
        return CeleryWorker(
            "tests.support.pool_app", self.directory / "worker.log", environment, options, log_level="DEBUG"
        )

    def wait_for(self, event: str, *names: str, count: int = 1) -> None:
        """Wait until something has happened to each of these tasks, or so many times to any."""
        for name in names or [None]:
            wait_until(lambda: self.journal.count(event, name) >= count, TIMEOUT_S, f"{event} {name or count}")  # noqa: B023

    def queued(self) -> int:
        """Return how many messages lie in the queue."""
        with connect(self.url) as client:
            return int(client.llen(QUEUE))

    def held(self) -> int:
        """Return how many messages a worker has taken and not given back."""
        with connect(self.url) as client:
            return int(client.hlen("unacked"))

    def log(self) -> str:
        """Return what the worker has said so far."""
        return (self.directory / "worker.log").read_text()

    def ask(self, question: str) -> Any:
        """Put a question to the one worker, as `celery inspect` does."""
        answers = wait_until(getattr(self.app.control.inspect(timeout=1.0, limit=1), question), TIMEOUT_S)
        return next(iter(answers.values()))


@pytest.fixture(scope="module")
def server(valkey_program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    """A server of this module's own, because one worker of it lives longer than a test."""
    with ValkeyServer(valkey_program, tmp_path_factory.mktemp("pool-valkey")) as server:
        yield server


def make_bench(url: str, directory: Path) -> Iterator[Bench]:
    """Yield a bench, and close what its app has opened."""
    app = pool_app.make_app({pool_app.BROKER: url, pool_app.QUEUE: QUEUE})
    yield Bench(url, directory, app, pool_app.Journal(directory))
    app.close()
    backend: Any = app.backend
    backend.result_consumer.stop()
    backend.result_consumer._pubsub = None  # or results that are collected later would still unsubscribe
    backend.client.close()


@pytest.fixture(scope="module")
def running(server: ValkeyServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A bench whose worker runs already, with 200 slots, and goes on running: for tests that stop nothing."""
    for bench in make_bench(server.url, tmp_path_factory.mktemp("running")):
        with bench.worker(worker_concurrency=200):
            yield bench


@pytest.fixture
def bench(server: ValkeyServer, tmp_path: Path) -> Iterator[Bench]:
    """A bench on an empty database, for tests that start and stop workers of their own."""
    url = server.url.removesuffix("/0") + "/1"
    with connect(url) as client:
        client.flushdb()
    yield from make_bench(url, tmp_path)


def test_coroutine_gets_its_arguments_and_its_request(running: Bench) -> None:
    """A task is awaited on the loop, knows its request, and what it returns is the result."""
    sent = running.send("echo", "hello", kwargs={"more": 1}, headers={"colour": "red"})

    assert sent.get(timeout=TIMEOUT_S) == {
        "value": "hello",
        "more": 1,
        "id": sent.id,
        "retries": 0,
        "routing_key": QUEUE,
        "header": "red",
        "thread": "postroom-loop",
    }


def test_error_of_a_coroutine_is_the_result(running: Bench) -> None:
    """An exception is stored as Celery stores it, with its type and its arguments."""
    sent = running.send("fail", "ValueError", "no good")

    with pytest.raises(ValueError, match="no good"):
        sent.get(timeout=TIMEOUT_S)
    assert sent.state == "FAILURE"


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("SystemExit", "the task raised SystemExit"),
        ("MemoryError", "the task raised MemoryError"),
        ("CancelledError", "the task cancelled itself"),
    ],
)
def test_nothing_that_a_task_raises_ends_the_worker(running: Bench, kind: str, text: str) -> None:
    """What would end a process, or a loop, is a failure of this one task."""
    sent = running.send("fail", kind, "over and out")

    with pytest.raises(RuntimeError, match=text):
        sent.get(timeout=TIMEOUT_S)
    assert running.send("echo", 1).get(timeout=TIMEOUT_S)["value"] == 1


def test_retry_comes_again_after_its_countdown(running: Bench) -> None:
    """A task that returns `RetryLater` runs again with the same id, one retry further, until it has a result."""
    sent = running.send("retrying", 2, 0.1)

    assert sent.get(timeout=TIMEOUT_S) == "after 2 retries"
    assert sent.state == "SUCCESS"


def test_retry_shows_nothing_of_the_arguments(running: Bench) -> None:
    """The message of a retry is as silent about its arguments as the first one."""
    sent = running.send("retrying", 1, 3600.0)

    def find_retry() -> dict[str, Any] | None:
        with connect(running.url) as client:
            held = [json.loads(entry)[0]["headers"] for entry in client.hvals("unacked")]
        return next((headers for headers in held if headers["id"] == sent.id and headers["retries"] == 1), None)

    headers = wait_until(find_retry, TIMEOUT_S)
    assert (headers["argsrepr"], headers["kwargsrepr"]) == ("<sealed>", "<sealed>")
    wait_until(lambda: sent.state == "RETRY", TIMEOUT_S)


def test_ordinary_task_runs_beside_the_loop(running: Bench) -> None:
    """A task that is no coroutine works too, in a thread of its own."""
    value, thread = running.send("add", 1, 2).get(timeout=TIMEOUT_S)

    assert value == 3
    assert thread.startswith("postroom-sync")


def test_one_process_runs_as_many_tasks_as_it_has_slots(running: Bench) -> None:
    """Two hundred tasks are all under way at the same time in one process, and Celery is told so."""
    sent = [running.send("hold", f"crowd-{number}", "crowd") for number in range(200)]
    wait_until(lambda: sum("crowd" in name for _, name in running.journal.lines()) == 200, TIMEOUT_S)

    assert running.ask("stats")["pool"]["running"] == 200
    assert len(running.ask("active")) == 200
    running.journal.open_gate("crowd")
    assert [result.get(timeout=TIMEOUT_S) for result in sent] == [f"crowd-{number}" for number in range(200)]
    wait_until(lambda: running.ask("stats")["pool"]["running"] == 0, TIMEOUT_S)


def test_revoked_task_is_stopped(running: Bench) -> None:
    """A revoke with terminate cancels the coroutine, and the result says so."""
    sent = running.hold("revoked")["revoked"]
    running.wait_for("start", "revoked")
    sent.revoke(terminate=True)

    with pytest.raises(TaskRevokedError):
        sent.get(timeout=TIMEOUT_S)
    running.wait_for("stopped", "revoked")
    wait_until(lambda: running.ask("stats")["pool"]["running"] == 0, TIMEOUT_S)


def test_soft_limit_stops_a_task(running: Bench) -> None:
    """A task over its soft limit is cancelled, and has failed with Celery's own error."""
    sent = running.send("hold", "slow", "slow", soft_time_limit=0.2)

    with pytest.raises(SoftTimeLimitExceeded):
        sent.get(timeout=TIMEOUT_S)
    running.wait_for("stopped", "slow")


def test_soft_limit_spares_a_task_that_finishes(running: Bench) -> None:
    """A task that was asked to end at its soft limit and returns a value nevertheless has that value for a result."""
    sent = running.send("commit", "nearly", "nearly", soft_time_limit=0.2)
    running.wait_for("asked", "nearly")
    running.journal.open_gate("nearly")

    assert sent.get(timeout=TIMEOUT_S) == "nearly"


def test_hard_limit_is_final(running: Bench) -> None:
    """A task that will not end at its hard limit has failed, gives up its slot, and cannot change the result later."""
    sent = running.send("commit", "stubborn", "stubborn", time_limit=0.2)

    with pytest.raises(TimeLimitExceeded):
        sent.get(timeout=TIMEOUT_S)
    wait_until(lambda: running.ask("stats")["pool"]["running"] == 0, TIMEOUT_S)
    running.wait_for("asked", "stubborn")
    running.journal.open_gate("stubborn")
    wait_until(lambda: f"Task {sent.id} had its hard time limit behind it" in running.log(), TIMEOUT_S)
    assert sent.state == "FAILURE"


def test_log_shows_no_arguments(running: Bench) -> None:
    """Even at DEBUG, where Celery's own pools log the arguments, the log has only the id of the task."""
    sent = running.send("hold", "quiet", "nobody-may-read-this")
    running.wait_for("start", "quiet")
    running.journal.open_gate("nobody-may-read-this")
    sent.get(timeout=TIMEOUT_S)

    assert f"Task {sent.id} is job" in running.log()
    assert "nobody-may-read-this" not in running.log()


def test_inspect_knows_what_runs_and_what_waits(bench: Bench) -> None:
    """Tasks beyond the slots are reserved, not active, and no answer shows an argument."""
    with bench.worker(worker_concurrency=2, worker_prefetch_multiplier=2):
        sent = bench.hold("a", "b", "c", "d")
        bench.wait_for("start", "a", "b")
        wait_until(lambda: bench.held() == 4, TIMEOUT_S)

        active, reserved = bench.ask("active"), bench.ask("reserved")

        assert {task["id"] for task in active} == {sent["a"].id, sent["b"].id}
        assert {task["id"] for task in reserved} == {sent["c"].id, sent["d"].id}
        assert {(task["args"], task["kwargs"]) for task in active + reserved} == {("<sealed>", "<sealed>")}
        stats = bench.ask("stats")["pool"]
        assert (stats["implementation"], stats["max-concurrency"]) == ("postroom_worker.pool:TaskPool", 2)
        for gate in sent:
            bench.journal.open_gate(gate)
        assert [sent[name].get(timeout=TIMEOUT_S) for name in sent] == list(sent)


def test_task_revoked_before_its_turn_never_starts(bench: Bench) -> None:
    """A task that waits for a slot and is revoked meanwhile is discarded when its turn comes."""
    with bench.worker(worker_concurrency=1, worker_prefetch_multiplier=2):
        sent = bench.hold("first", "revoked")
        bench.wait_for("start", "first")
        wait_until(lambda: bench.held() == 2, TIMEOUT_S)
        sent["revoked"].revoke()
        wait_until(lambda: str(sent["revoked"].state) == "REVOKED", TIMEOUT_S)
        bench.journal.open_gate("first")

        assert sent["first"].get(timeout=TIMEOUT_S) == "first"
        wait_until(lambda: bench.held() == 0, TIMEOUT_S)
        assert bench.journal.count("start", "revoked") == 0


def test_pool_grows_and_shrinks(bench: Bench) -> None:
    """More slots are used at once; fewer slots hold as soon as that many tasks have ended."""
    with bench.worker(worker_concurrency=1, worker_prefetch_multiplier=4):
        sent = bench.hold("a", "b", "c", "d")
        bench.wait_for("start", "a")
        bench.app.control.pool_grow(1)
        bench.wait_for("start", "b")
        wait_until(lambda: bench.ask("stats")["pool"]["max-concurrency"] == 2, TIMEOUT_S)

        bench.app.control.pool_shrink(1)
        wait_until(lambda: bench.ask("stats")["pool"]["max-concurrency"] == 1, TIMEOUT_S)
        for gate in ("a", "b", "c", "d"):
            bench.journal.open_gate(gate)
            assert sent[gate].get(timeout=TIMEOUT_S) == gate
        events = bench.journal.lines()
        assert events.index(["finish", "b"]) < events.index(["start", "c"])
        assert events.index(["finish", "c"]) < events.index(["start", "d"])


def test_pool_does_not_shrink_to_nothing(bench: Bench) -> None:
    """The last slot cannot be taken away; the worker says so and goes on."""
    with bench.worker(worker_concurrency=1):
        answer = bench.app.control.pool_shrink(1, reply=True, timeout=TIMEOUT_S, limit=1)

        assert "cannot shrink" in str(answer)
        assert bench.send("echo", 1).get(timeout=TIMEOUT_S)["value"] == 1


def test_lost_connection_stops_nothing(bench: Bench) -> None:
    """A worker whose connection to the broker breaks goes on with its task, which keeps its slot, and with new ones."""
    with bench.worker(worker_concurrency=1) as worker:
        sent = bench.hold("a")
        bench.wait_for("start", "a")
        with connect(bench.url) as client:
            client.client_kill_filter(_type="normal", skipme=True)
            client.client_kill_filter(_type="pubsub", skipme=True)
        wait_until(lambda: "Connection to broker lost" in worker.log, TIMEOUT_S)
        # The stock transport has put the message of the running task back into the queue, and now delivers it again.
        wait_until(lambda: worker.log.count("Task test.hold") == 2, TIMEOUT_S)
        bench.journal.open_gate("a")

        assert sent["a"].get(timeout=TIMEOUT_S) == "a"
        assert bench.send("echo", 1).get(timeout=TIMEOUT_S)["value"] == 1
    assert bench.journal.lines()[1:5] == [["start", "a"], ["finish", "a"]] * 2


def test_retry_that_cannot_be_published_is_not_lost(bench: Bench) -> None:
    """When the broker refuses the retry, the message goes back to its queue and the task runs again."""
    at_once = {"max_retries": 1, "interval_start": 0, "interval_step": 0}
    nowhere = "redis://127.0.0.1:1/1"
    with bench.worker(broker_write_url=nowhere, broker_transport_options=at_once, task_publish_retry=False):
        bench.send("retrying", 1, 3600.0)
        bench.wait_for("start", "0", count=2)

    assert (bench.queued(), bench.held()) == (1, 0)


def test_outcome_that_cannot_be_stored_holds_up_nothing(bench: Bench) -> None:
    """When the result server has gone, the task's message is settled, the slot is free, and the log names the task."""
    with bench.worker(worker_concurrency=1, result_backend="redis://127.0.0.1:1/1") as worker:
        bench.journal.open_gate("open")
        first = bench.send("hold", "first", "open")
        bench.send("hold", "second", "open")
        bench.wait_for("finish", "first", "second")
        wait_until(lambda: bench.held() == 0, TIMEOUT_S)

        assert f"Task {first.id}: ConnectionError while its outcome was recorded" in worker.log
        wait_until(lambda: f"Task {first.id}: ConnectionError while Celery was told" in worker.log, TIMEOUT_S)


def test_warm_shutdown_waits_for_running_tasks(bench: Bench) -> None:
    """At SIGTERM running tasks finish and have results, waiting ones stay in the queue, and the loop has a last word."""
    with bench.worker(worker_concurrency=2, worker_prefetch_multiplier=2) as worker:
        sent = bench.hold("a", "b", "c", "d", "e")
        bench.wait_for("start", "a", "b")
        worker.send(signal.SIGTERM)
        wait_until(lambda: "Warm shutdown" in worker.log, TIMEOUT_S)
        for gate in ("a", "b"):
            bench.journal.open_gate(gate)

        assert worker.wait() == 0
    assert [sent[name].state for name in sent] == ["SUCCESS", "SUCCESS", "PENDING", "PENDING", "PENDING"]
    assert (bench.queued(), bench.held()) == (3, 0)
    assert bench.journal.lines()[-1] == ["last-words", "postroom-loop"]
    assert bench.journal.count("start") == 2


def test_warm_shutdown_has_a_limit(bench: Bench) -> None:
    """A task that runs longer than `postroom_drain_s` is stopped, and its message lies in the queue at once."""
    with bench.worker(postroom_drain_s=0.2) as worker:
        sent = bench.hold("a", "b")
        bench.wait_for("start", "a", "b")

        assert worker.stop() == 0
    assert bench.journal.count("stopped") == 2
    assert (bench.queued(), bench.held()) == (2, 0)
    assert {result.state for result in sent.values()} == {"PENDING"}


def test_second_sigterm_cuts_the_wait_short_but_not_what_must_not_be_stopped(bench: Bench) -> None:
    """Tasks are stopped long before the limit, and their messages lie in the queue; a committed one is still awaited."""
    with bench.worker(postroom_drain_s=10 * TIMEOUT_S, postroom_cancel_s=TIMEOUT_S) as worker:
        sent = bench.hold("a") | bench.hold("b", task="commit")
        bench.wait_for("start", "a", "b")
        worker.send(signal.SIGTERM)
        wait_until(lambda: "Warm shutdown" in worker.log, TIMEOUT_S)
        # Celery stops its consumer first; a signal that comes before the pool's turn is the first one still.
        wait_until(lambda: _again(worker) and bench.journal.count("asked", "b"), TIMEOUT_S)
        bench.journal.open_gate("b")

        assert worker.wait() == 0
    assert {name: result.state for name, result in sent.items()} == {"a": "PENDING", "b": "SUCCESS"}
    assert (bench.queued(), bench.held()) == (1, 0)


def _again(worker: CeleryWorker) -> bool:
    worker.send(signal.SIGTERM)
    return True


def test_warm_shutdown_awaits_a_task_that_must_not_be_stopped(bench: Bench) -> None:
    """A task that was asked to end and returns in time has its result, and its message is done with."""
    with bench.worker(postroom_drain_s=0.2, postroom_cancel_s=TIMEOUT_S) as worker:
        sent = bench.hold("a", task="commit")["a"]
        bench.wait_for("start", "a")
        worker.send(signal.SIGTERM)
        bench.wait_for("asked", "a")
        bench.journal.open_gate("a")

        assert worker.wait() == 0
    assert (sent.state, sent.result) == ("SUCCESS", "a")
    assert (bench.queued(), bench.held()) == (0, 0)
    assert bench.journal.count("asked") == 1


def test_cold_shutdown_stops_tasks_and_gives_their_messages_back(bench: Bench) -> None:
    """At SIGQUIT a task that lets itself be stopped is queued again, and one that must finish is awaited."""
    with bench.worker(postroom_cancel_s=TIMEOUT_S) as worker:
        stopped = bench.hold("a", "b")
        kept = bench.hold("c", task="commit")["c"]
        bench.wait_for("start", "a", "b", "c")
        worker.send(signal.SIGQUIT)
        bench.wait_for("asked", "c")
        bench.journal.open_gate("c")

        assert worker.wait() == 0
    assert (kept.state, kept.result) == ("SUCCESS", "c")
    assert {result.state for result in stopped.values()} == {"PENDING"}
    assert (bench.queued(), bench.held()) == (2, 0)
    assert bench.journal.count("asked") == 1
    assert bench.journal.lines()[-1] == ["last-words", "postroom-loop"]


def test_cold_shutdown_leaves_a_task_that_never_ends(bench: Bench) -> None:
    """A task that does not end within `postroom_cancel_s` is left behind, and its message is delivered again."""
    with bench.worker(postroom_cancel_s=0.2) as worker:
        sent = bench.hold("a", task="commit")["a"]
        bench.wait_for("start", "a")
        worker.send(signal.SIGQUIT)

        assert worker.wait() == 0
        assert f"Task {sent.id} did not end" in worker.log
    assert (bench.queued(), bench.held(), sent.state) == (1, 0, "PENDING")


def test_soft_shutdown_gives_tasks_their_time(bench: Bench) -> None:
    """At SIGQUIT with `worker_soft_shutdown_timeout` tasks may still finish; the rest is stopped and queued again."""
    with bench.worker(worker_soft_shutdown_timeout=3.0) as worker:
        sent = bench.hold("a", "b")
        bench.wait_for("start", "a", "b")
        worker.send(signal.SIGQUIT)
        wait_until(lambda: "Initiating Soft Shutdown" in worker.log, TIMEOUT_S)
        bench.journal.open_gate("a")

        assert worker.wait() == 0
    assert (sent["a"].state, sent["b"].state) == ("SUCCESS", "PENDING")
    assert (bench.queued(), bench.held()) == (1, 0)
    assert bench.journal.lines()[-2:] == [["stopped", "b"], ["last-words", "postroom-loop"]]


def test_second_sigquit_cuts_the_soft_shutdown_short(bench: Bench) -> None:
    """A second SIGQUIT stops the tasks without waiting for the soft timeout; none is lost."""
    with bench.worker(worker_soft_shutdown_timeout=3.0) as worker:
        bench.hold("a", "b")
        bench.wait_for("start", "a", "b")
        worker.send(signal.SIGQUIT)
        wait_until(lambda: "Initiating Soft Shutdown" in worker.log, TIMEOUT_S)
        worker.send(signal.SIGQUIT)
        bench.wait_for("stopped", "a", "b")

        assert worker.wait() == 0
    assert (bench.queued(), bench.held()) == (2, 0)


def test_third_sigquit_does_not_wait(bench: Bench) -> None:
    """Insisting ends a worker that waits for a task which will not stop, and still gives the message back."""
    with bench.worker(postroom_cancel_s=600.0) as worker:
        bench.hold("a", task="commit")
        bench.wait_for("start", "a")
        worker.send(signal.SIGQUIT)
        wait_until(lambda: "Terminating Pool" in worker.log, TIMEOUT_S)
        bench.wait_for("asked", "a")
        worker.send(signal.SIGQUIT)
        wait_until(lambda: "Waiting gracefully" in worker.log, TIMEOUT_S)
        worker.send(signal.SIGQUIT)

        assert worker.wait() == 0
        assert "Told not to wait any longer" in worker.log
    assert (bench.queued(), bench.held()) == (1, 0)
    assert bench.journal.lines()[-1] == ["last-words", "postroom-loop"]


def test_sigquit_ends_a_warm_shutdown(bench: Bench) -> None:
    """SIGQUIT in the middle of a warm shutdown stops what that still waited for."""
    with bench.worker(postroom_drain_s=600.0) as worker:
        bench.hold("a", "b")
        bench.wait_for("start", "a", "b")
        worker.send(signal.SIGTERM)
        wait_until(lambda: "Warm shutdown" in worker.log, TIMEOUT_S)
        worker.send(signal.SIGQUIT)

        assert worker.wait() == 0
    assert bench.journal.count("stopped") == 2
    assert (bench.queued(), bench.held()) == (2, 0)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGQUIT])
def test_shutdown_amid_fifty_tasks_loses_and_doubles_none(bench: Bench, how: signal.Signals) -> None:
    """Each of fifty tasks has either finished or is in the queue; a second worker runs exactly those."""
    with bench.worker(worker_concurrency=7) as worker:
        for number in range(50):
            bench.send("hold", str(number), "early" if number < 10 else "late")
        bench.journal.open_gate("early")
        bench.wait_for("finish", count=10)
        wait_until(lambda: bench.journal.count("start") == 17, TIMEOUT_S)
        worker.send(how)
        wait_until(lambda: re.search("(Warm|Cold) shutdown|Hitting", worker.log), TIMEOUT_S)
        bench.journal.open_gate("late")
        assert worker.wait() == 0

    finished = [name for event, name in bench.journal.lines() if event == "finish"]
    assert len(finished) + bench.queued() == 50
    assert bench.held() == 0
    with bench.worker():
        bench.wait_for("finish", count=50)
        wait_until(lambda: bench.held() == 0, TIMEOUT_S)
    assert sorted(int(name) for event, name in bench.journal.lines() if event == "finish") == list(range(50))
    assert bench.queued() == 0


def test_shutdown_without_work_is_quick_and_clean(bench: Bench) -> None:
    """An idle worker has set itself up, ends at SIGTERM with its last words, and leaves nothing of its own in Redis."""
    with bench.worker() as worker:
        assert worker.stop() == 0

    assert bench.journal.lines() == [["set-up", "MainThread"], ["last-words", "postroom-loop"]]
    assert "Traceback" not in worker.log
    assert find_leaked_keys(bench.url) == []


def test_pool_waits_for_nothing_inside_a_signal_handler(bench: Bench) -> None:
    """Celery's handler of SIGQUIT stops the pool while the worker still runs: nothing ends before it is terminated."""
    pool = TaskPool(1, app=bench.app, initargs=(bench.app, "test"))
    pool.start()
    turned_at = pool.loop_turned_at

    pool.stop()
    wait_until(lambda: pool.loop_turned_at > turned_at, TIMEOUT_S)
    pool.terminate()

    assert not pool.active
    assert not any(thread.name == "postroom-loop" for thread in threading.enumerate())
