"""Tasks whose work is a coroutine: how `run` reports what became of it, and what their messages show."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from billiard.einfo import ExceptionInfo
from celery import Celery
from celery.app.task import Context
from celery.exceptions import Ignore, ImproperlyConfigured, Retry
from kombu.message import Message

from postroom_worker.async_task import AsyncTask, RetryLater, SafeRequest, ending_as
from tests.support.valkey import connect

QUEUE = "postroom.async-task-test"


class Work(AsyncTask):
    """A task that nothing here ever awaits."""

    name = "test.work"


@pytest.fixture
def task() -> AsyncTask:
    """The task, in an app without a broker."""
    app = Celery("async-task", broker="memory://", set_as_current=False)
    app.register_task(Work())
    found = app.tasks[Work.name]
    assert isinstance(found, AsyncTask)
    return found


def ended(value: object = None, error: Exception | None = None) -> asyncio.Future[Any]:
    """Return a coroutine's end, without the coroutine."""
    loop = asyncio.new_event_loop()
    future: asyncio.Future[Any] = loop.create_future()
    if error is None:
        future.set_result(value)
    else:
        future.set_exception(error)
    loop.close()
    return future


def test_run_returns_what_the_coroutine_returned(task: AsyncTask) -> None:
    """A value passes through."""
    with ending_as(ended("value")):
        assert task.run() == "value"


def test_run_raises_what_the_coroutine_raised(task: AsyncTask) -> None:
    """An error passes through as it is."""
    error = ValueError("as it is")

    with ending_as(ended(error=error)), pytest.raises(ValueError, match="as it is") as raised:
        task.run()
    assert raised.value is error


def test_run_turns_retry_later_into_a_retry(task: AsyncTask) -> None:
    """Outside a worker Celery cannot publish a retry, and raises its error instead: the seam is its own `retry`."""
    with ending_as(ended(RetryLater(30.0, ValueError("try again")))), pytest.raises(ValueError, match="try again"):
        task.run()


def test_a_retry_reads_as_its_reason_and_its_time(task: AsyncTask) -> None:
    """Flower shows its repr."""
    later = RetryLater(29.6, ValueError("try again"), is_published=True)
    with ending_as(ended(later)), pytest.raises(Retry) as raised:
        task.run()

    assert repr(raised.value) == "ValueError('try again'), again in 30 s"
    assert raised.value.exc is later.error


def test_task_says_which_pool_it_needs(task: AsyncTask) -> None:
    """Run by another pool, a task fails with the setting that is missing."""
    with ending_as(ended()):
        pass

    with pytest.raises(ImproperlyConfigured, match=r"postroom_worker\.pool:TaskPool"):
        task.run()


def test_message_shows_nothing_of_its_arguments(redis_url: str) -> None:
    """Whatever the caller passes, the headers of a published task have neither arguments nor their form."""
    app = Celery("async-task", broker=redis_url, set_as_current=False)
    app.conf.update(task_default_queue=QUEUE, task_ignore_result=True)
    task = app.register_task(Work())
    task.apply_async(("secret",), {"key": "hidden"}, argsrepr="secret")
    app.close()

    with connect(redis_url) as client:
        headers = json.loads(client.rpop(QUEUE) or b"{}")["headers"]
    assert (headers["argsrepr"], headers["kwargsrepr"]) == ("<sealed>", "<sealed>")
    assert "secret" not in json.dumps(headers)


@pytest.fixture
def request_of_somebody_else(task: AsyncTask) -> SafeRequest:
    """A request whose publisher has put the arguments into the headers, as Celery does."""
    headers = {"id": "1", "task": Work.name, "argsrepr": "('secret',)", "kwargsrepr": "{'key': 'hidden'}"}
    body = json.dumps([["secret"], {"key": "hidden"}, {}])
    message = Message(body, headers=headers, content_type="application/json", content_encoding="utf-8")
    return SafeRequest(message, app=task.app, task=task)


@pytest.mark.parametrize("safe", [True, False])
def test_request_shows_nothing_of_its_arguments(request_of_somebody_else: SafeRequest, *, safe: bool) -> None:
    """Neither `inspect` nor logs nor the tracer learn more than that there are arguments."""
    request = request_of_somebody_else

    shown = [request.info(safe=safe), repr(request), request.argsrepr, request.kwargsrepr]
    assert "secret" not in str(shown)
    assert "hidden" not in str(shown)
    assert (request.info(safe=safe)["args"], request.info(safe=safe)["kwargs"]) == ("<sealed>", "<sealed>")
    assert Context(request.request_dict).get("argsrepr") == "<sealed>"


def test_task_still_gets_its_arguments(request_of_somebody_else: SafeRequest) -> None:
    """Hiding them changes nothing for the task itself."""
    assert request_of_somebody_else.args == ["secret"]
    assert request_of_somebody_else.kwargs == {"key": "hidden"}


class Eventer:
    """Where a request's events go; Celery's own connects to a broker."""

    enabled = True

    def __init__(self) -> None:
        self.sent: list[tuple[str, dict[str, Any]]] = []

    def send(self, kind: str, **fields: Any) -> None:
        """Keep an event."""
        self.sent.append((kind, fields))


def events_of(task: AsyncTask, error: Exception) -> list[tuple[str, dict[str, Any]]]:
    """The events of a request whose task raised this."""
    eventer = Eventer()
    body = json.dumps([[], {}, {}])
    message = Message(
        body, headers={"id": "1", "task": Work.name}, content_type="application/json", content_encoding="utf-8"
    )
    request = SafeRequest(message, app=task.app, task=task, eventer=eventer)
    with suppress(type(error)), ended_badly(request):
        raise error
    return eventer.sent


@contextmanager
def ended_badly(request: SafeRequest) -> Iterator[None]:
    """Tell a request of what is raised inside, as Celery's tracer does."""
    try:
        yield
    except Exception as error:
        told = ExceptionInfo()
        told.exception = error
        request.on_failure(told)
        raise


def test_an_end_that_celery_has_no_event_for_is_told(task: AsyncTask) -> None:
    """Flower would show the task as running for ever."""
    assert events_of(task, Ignore("held")) == [("task-held", {"uuid": "1"})]
    assert events_of(task, Ignore()) == []


def test_a_traceback_is_told_of_a_bug_alone(task: AsyncTask) -> None:
    """What was meant to happen has none worth reading."""
    task.throws = (KeyError,)
    [(kind, expected)], [(_, bug)] = events_of(task, KeyError("x")), events_of(task, ValueError("x"))

    assert kind == "task-failed"
    assert (expected["exception"], expected["traceback"]) == ("KeyError('x')", None)
    assert "Traceback" in bug["traceback"]
