"""The loop's thread and the crew: they outlive what goes wrong in their work, and end when they are told to."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from postroom_worker.threads import Crew, LoopThread
from tests.support.waiting import wait_until

TIMEOUT_S = 10.0


async def say_nothing() -> None:
    """Stand for last words where the test has none."""


def block(thread: LoopThread) -> threading.Event:
    """Keep the loop from turning until the event is set."""
    is_blocked, release = threading.Event(), threading.Event()

    def wait() -> None:
        is_blocked.set()
        release.wait(TIMEOUT_S)

    thread.call(wait)
    is_blocked.wait(TIMEOUT_S)
    return release


@pytest.fixture
def thread() -> Iterator[LoopThread]:
    """A loop that turns."""
    thread = LoopThread()
    thread.start()
    yield thread
    thread.stop(say_nothing, TIMEOUT_S)


def test_loop_runs_in_a_thread_of_its_own(thread: LoopThread) -> None:
    """What the loop is asked to call runs on its own thread."""
    names: list[str] = []
    thread.call(lambda: names.append(threading.current_thread().name))

    assert wait_until(lambda: names, TIMEOUT_S) == ["postroom-loop"]


def test_loop_shows_that_it_turns(thread: LoopThread) -> None:
    """The time of the last turn moves on as long as nothing blocks the loop, and stands while something does."""
    before = thread.turned_at
    wait_until(lambda: thread.turned_at > before, TIMEOUT_S)

    release = block(thread)
    stands_at = thread.turned_at
    release.set()
    wait_until(lambda: thread.turned_at > stands_at, TIMEOUT_S)


def test_what_blocks_for_one_keeps_no_other_waiting(thread: LoopThread) -> None:
    """Names of a host whose name servers are dead keep their threads for long; there are more."""
    release = threading.Event()

    async def block_many() -> str:
        stuck = [asyncio.ensure_future(asyncio.to_thread(release.wait, TIMEOUT_S)) for _ in range(100)]
        async with asyncio.timeout(TIMEOUT_S):
            said = await asyncio.to_thread(lambda: "done")
        assert not any(one.done() for one in stuck)
        return said

    try:
        assert asyncio.run_coroutine_threadsafe(block_many(), thread.loop).result(TIMEOUT_S) == "done"
    finally:
        release.set()


def test_system_exit_of_one_task_does_not_end_the_loop(thread: LoopThread, caplog: pytest.LogCaptureFixture) -> None:
    """A background task that raises SystemExit is logged, and the loop turns on."""

    async def leave() -> None:
        raise SystemExit(1)

    tasks: list[asyncio.Task[None]] = []
    thread.call(lambda: tasks.append(thread.loop.create_task(leave())))
    wait_until(lambda: "SystemExit ended a turn" in caplog.text, TIMEOUT_S)

    turned = threading.Event()
    thread.call(turned.set)
    assert turned.wait(TIMEOUT_S)
    assert isinstance(tasks[0].exception(), SystemExit)


def test_loop_ends_after_its_last_words() -> None:
    """Last words are said on the loop, what is left there is cancelled, and the loop is closed."""
    thread = LoopThread()
    thread.start()
    said: list[str] = []
    left: list[asyncio.Future[bool]] = []
    thread.call(lambda: left.append(asyncio.ensure_future(asyncio.Event().wait())))

    async def last_words() -> None:
        said.append(threading.current_thread().name)

    thread.stop(last_words, TIMEOUT_S)

    assert said == ["postroom-loop"]
    assert left[0].cancelled()
    assert thread.loop.is_closed()
    thread.stop(last_words, TIMEOUT_S)
    thread.call(said.clear)
    assert said == ["postroom-loop"]


def test_last_words_have_a_limit(caplog: pytest.LogCaptureFixture) -> None:
    """A loop whose last words would take for ever ends without them."""
    thread = LoopThread()
    thread.start()

    async def for_ever() -> None:
        await asyncio.Event().wait()

    thread.stop(for_ever, timeout_s=0.05)

    assert thread.loop.is_closed()
    assert "Not all was said" in caplog.text


def test_blocked_loop_is_left_behind(caplog: pytest.LogCaptureFixture) -> None:
    """A loop that something blocks does not keep the process from ending."""
    thread = LoopThread()
    thread.start()
    release = block(thread)

    thread.stop(say_nothing, timeout_s=0.0)

    assert "does not turn" in caplog.text
    assert not thread.loop.is_closed()
    release.set()
    wait_until(thread.loop.is_closed, TIMEOUT_S)


def test_crew_goes_on_after_an_error(caplog: pytest.LogCaptureFixture) -> None:
    """Work that raises, whatever it raises, is logged by its type, and the same thread does the next piece."""
    crew = Crew(1, "crew")
    crew.start()
    done = threading.Event()

    def fail() -> None:
        raise KeyboardInterrupt("not for the log")

    crew.submit(fail)
    crew.submit(done.set)

    assert done.wait(TIMEOUT_S)
    assert "KeyboardInterrupt" in caplog.text
    assert "not for the log" not in caplog.text
