"""Takes away every defence that keeps personal data out of Redis, Celery and logs, so that the privacy tests can fail.

Each privacy test runs twice: as things are, when it must find nothing, and sabotaged, when it must find what it looks
for; a search that finds nothing either way would prove nothing. Used in the test's own process by `sabotaged`, and in a
worker by starting it with `STARTER`.
"""

from __future__ import annotations

import base64
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from celery.concurrency.base import BasePool
from celery.worker.request import Request

from postroom_contract.errors import PostroomError
from postroom_contract.outcome import Outcome
from postroom_contract.sealing import Keyring
from postroom_worker import async_task, pool, settlement, tasks

# The arguments with which an interpreter becomes a sabotaged worker.
STARTER = ("-c", "from tests.support.sabotage import run_worker; run_worker()")


def _null_seal(_: Keyring, plain: bytes, __: Mapping[str, object]) -> str:
    # Filled up to the length that the shortest sealed text has, so that it passes for one.
    return f"v1.null.{base64.urlsafe_b64encode(plain.ljust(32, bytes(1))).rstrip(b'=').decode()}"


def _null_open(_: Keyring, sealed: str, __: Mapping[str, object]) -> bytes:
    encoded = sealed.rpartition(".")[2]
    return base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).rstrip(bytes(1))


@contextmanager
def sabotaged() -> Iterator[None]:
    """Seal nothing in this process."""
    with patch.object(Keyring, "seal", _null_seal), patch.object(Keyring, "open", _null_open):
        yield


def run_worker() -> None:
    """Run a worker that seals nothing, shows arguments, logs them, and raises errors with all their facts."""
    from postroom_worker.__main__ import main  # noqa: PLC0415 -- after the defences are gone

    with (
        sabotaged(),
        patch.object(async_task.SafeRequest, "__init__", Request.__init__),
        patch.object(async_task.SafeRequest, "info", _info_with_arguments),
        patch.object(pool.TaskPool, "apply_async", _apply_and_log(pool.TaskPool.apply_async)),
        patch.object(tasks, "public", lambda error: error),
        patch.object(settlement, "public", lambda error: error),
        patch.object(Outcome, "sealed_error", _open_error),
    ):
        main()


def _info_with_arguments(request: Request, safe: bool = False) -> Any:  # noqa: FBT001, FBT002
    return Request.info(request, safe=False) | {"args": repr(request.args)}


def _apply_and_log(apply_async: Any) -> Any:
    """What Celery's own pools do at DEBUG."""

    def apply(self: BasePool, target: Any, args: Any = (), kwargs: Any = None, **options: Any) -> Any:
        logging.getLogger("celery.pool").debug("TaskPool: Apply %s (args:%r)", target, args)
        return apply_async(self, target, args, kwargs, **options)

    return apply


def _open_error(outcome: Outcome, _: Keyring) -> PostroomError | None:
    error = outcome.error
    assert error is None or error.facts
    return error
