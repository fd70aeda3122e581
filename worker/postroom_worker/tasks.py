"""The Celery task: hands a sealed payload to `delivery` and what comes of it to Celery.

Owns the translation between the two: an outcome is returned, a failure raised, a wish to try again becomes a retry.
Everything that passes here is sealed or public, because Celery stores and shows it.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from celery.app.task import Context

from postroom_contract.error_codes import ErrorCode
from postroom_contract.errors import PostroomError
from postroom_contract.names import TASK_DELIVER
from postroom_contract.outcome import Outcome, error_of
from postroom_worker import events
from postroom_worker.async_task import AsyncTask, RetryLater
from postroom_worker.conclusion import public
from postroom_worker.delivery import deliver

if TYPE_CHECKING:
    from collections.abc import Callable

    from postroom_contract.sealing import Keyring
    from postroom_worker.delivery import Office


class DeliverTask(AsyncTask):
    """`postroom.deliver(payload, progress=None)`."""

    name = TASK_DELIVER
    # A delivery that failed is news for its sender, not an incident: Celery logs it in one line.
    throws = (PostroomError,)

    def __init__(self, office: Callable[[], Office]) -> None:
        self._office = office

    async def arun(self, request: Context, /, payload: str, progress: str | None = None) -> Any:
        """Make one attempt to deliver."""
        office = self._office()
        started = time.monotonic()
        try:
            redelivered = bool((request.delivery_info or {}).get("redelivered"))
            result = await deliver(office, str(request.id), payload, progress, redelivered=redelivered)
        except Exception as bug:  # noqa: BLE001 -- whatever it is, its text may quote the message and must not reach Celery
            events.bug_met(str(request.id), bug)
            raise PostroomError(ErrorCode.INTERNAL, {"reason": type(bug).__name__}) from None
        if isinstance(result, Outcome):
            events.attempt_ended(result, time.monotonic() - started)
            return _as_celery_wants_it(result, office.keyring)
        error = public(result.error)
        events.attempt_put_off(str(request.id), error, result.after_s, result.progress.attempts)
        arguments = (payload, result.progress.seal(str(request.id), office.keyring))
        return RetryLater(result.after_s, error, arguments)


def _as_celery_wants_it(outcome: Outcome, keyring: Keyring) -> Outcome:
    """An outcome to return or, where nobody is known to have got the message, an error to raise: both sealed."""
    error = None if error_of(outcome) is None else outcome.sealed_error(keyring)
    if error is not None:
        raise error
    outcome.seal(keyring)
    return outcome
