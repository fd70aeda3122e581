"""The rules of stopping a job: how often its coroutine is asked, and what its end then means."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import pytest
from celery import Celery
from celery.app.task import Context
from celery.exceptions import Reject, SoftTimeLimitExceeded

from postroom_worker.async_task import AsyncTask, HandBack
from postroom_worker.job import Job, Why

Run = Callable[[], Coroutine[Any, Any, object]]


def make_job(arun: Run, trace: Callable[[], tuple[int, Any, Any]] = lambda: (0, None, 0.0)) -> Job:
    """Return a job whose task does `arun`, and whose callbacks return what they are told."""

    class Work(AsyncTask):
        name = "test.work"

        async def arun(self, request: Context, /, *args: Any, **kwargs: Any) -> object:
            return await arun()

    task = Work()
    task.bind(Celery("job", broker="memory://", set_as_current=False))
    return Job(
        pid=1,
        uuid="1",
        task=task,
        request={"id": "1", "args": [], "kwargs": {}},
        trace=trace,
        celery={"callback": partial(tuple), "error_callback": lambda info: info},
        soft_limit_s=30.0,
        hard_limit_s=None,
    )


def run(job: Job, *stops: Why) -> asyncio.Future[Any] | None:
    """Start a job, stop it for each reason in turn, and return its outcome."""

    async def start_and_stop() -> asyncio.Future[Any] | None:
        coroutine = job.start()
        await asyncio.sleep(0)
        for why in stops:
            job.stop(why)
            await asyncio.sleep(0)
        await asyncio.wait({coroutine})
        return job.outcome()

    return asyncio.run(start_and_stop())


async def hand_back() -> None:
    """Do what a coroutine does that was not begun when the worker ended."""
    raise HandBack


def test_a_message_that_is_handed_back_has_no_outcome() -> None:
    """It is delivered again, and nothing is recorded."""
    assert run(make_job(hand_back)) is None


async def wait_for_ever() -> None:
    """Do what a coroutine does that nobody stops."""
    await asyncio.Event().wait()


class Stubborn:
    """A coroutine that counts how often it is asked to end, and ends when it was asked `patience` times."""

    def __init__(self, patience: int) -> None:
        self.asked = 0
        self.patience = patience

    async def __call__(self) -> str:
        while self.asked < self.patience:
            try:
                await (asyncio.Event().wait() if self.asked == 0 else asyncio.sleep(0))
            except asyncio.CancelledError:
                self.asked += 1
            else:
                return "unmoved"
        return "moved"


def test_outcome_is_what_the_coroutine_returned() -> None:
    """A job that ends by itself has its value."""

    async def give_value() -> str:
        return "value"

    outcome = run(make_job(give_value))
    assert outcome is not None
    assert outcome.result() == "value"


def test_stopped_job_has_no_outcome() -> None:
    """A job that Celery stopped, and that let itself be stopped, is to be delivered again."""
    assert run(make_job(wait_for_ever), Why.STOPPED) is None


def test_soft_limit_is_a_failure() -> None:
    """A job that ended at its soft limit has failed with Celery's error."""
    outcome = run(make_job(wait_for_ever), Why.SOFT_LIMIT)

    assert outcome is not None
    with pytest.raises(SoftTimeLimitExceeded):
        outcome.result()


def test_shutdown_counts_more_than_the_soft_limit() -> None:
    """A job over its soft limit that is then stopped by Celery is to be delivered again, as Celery has said."""
    assert run(make_job(wait_for_ever), Why.SOFT_LIMIT, Why.STOPPED) is None


@pytest.mark.parametrize("stops", [(Why.STOPPED, Why.STOPPED), (Why.SOFT_LIMIT, Why.STOPPED)])
def test_coroutine_is_asked_once(stops: tuple[Why, Why]) -> None:
    """A coroutine that finishes what it must finish is not interrupted a second time, and its value counts."""
    work = Stubborn(patience=2)

    outcome = run(make_job(work), *stops)

    assert work.asked == 1
    assert outcome is not None
    assert outcome.result() == "unmoved"


def test_hard_limit_asks_again() -> None:
    """The hard limit is the last word."""
    work = Stubborn(patience=2)

    run(make_job(work), Why.SOFT_LIMIT, Why.HARD_LIMIT)

    assert work.asked == 2


def test_stopped_job_has_no_limits_any_more() -> None:
    """No clock strikes for a job whose fate Celery has already told."""

    async def stop() -> list[bool]:
        job = make_job(wait_for_ever)
        job.start()
        job.clocks.append(asyncio.get_running_loop().call_later(60.0, lambda: None))
        job.stop(Why.STOPPED)
        return [clock.cancelled() for clock in job.clocks]

    assert asyncio.run(stop()) == [True]


def test_tracer_reports_through_the_callback() -> None:
    """What Celery's tracer says reaches Celery's request, with the time that the job took."""
    job = make_job(wait_for_ever, trace=lambda: (0, "repr", 0.0))

    told: Any = job.record(None)()

    assert told[:2] == (0, "repr")
    assert 0 < told[2] <= job.age_s


def test_rejection_that_leaves_the_tracer_is_passed_on() -> None:
    """A rejection is not a breakdown: Celery's request sees it as it is."""

    def reject() -> tuple[int, Any, Any]:
        raise Reject("later", requeue=True)

    told: Any = make_job(wait_for_ever, trace=reject).record(None)()

    assert told[0] == 1
    assert told[1].exception.exc.requeue is True


def test_broken_tracer_counts_as_a_lost_worker(caplog: pytest.LogCaptureFixture) -> None:
    """When the outcome cannot be recorded, Celery's request hears that, and the log names the task and the error's type."""

    def fail() -> tuple[int, Any, Any]:
        raise ConnectionError("text that may tell too much")

    info = make_job(wait_for_ever, trace=fail).record(None)()

    assert "ConnectionError while the outcome was recorded" in str(info)
    assert "Task 1: ConnectionError while its outcome was recorded" in caplog.text
    assert "too much" not in caplog.text + str(info)
