"""The Celery task: hands a sealed payload to `delivery`, and has what comes of it written down.

Owns the translation of an attempt's end into a settlement for the ledger and into what Celery is told: an outcome is returned,
a failure raised, a wish to try again becomes a retry. Everything that passes here is sealed or public, because Celery stores
and shows it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from celery.app.task import Context
from celery.exceptions import Ignore
from celery.worker.state import revoked

from postroom_broker.ledger.claims import Act, Standing
from postroom_broker.transport.names import LEASE_PREFIX
from postroom_contract.error_codes import ErrorCode
from postroom_contract.errors import PostroomError
from postroom_contract.names import TASK_DELIVER
from postroom_contract.outcome import Outcome, State
from postroom_worker import events
from postroom_worker.assignment import Assignment, Leased, Overtaken, Unrecorded
from postroom_worker.async_task import AsyncTask, HandBack, RetryLater, SafeRequest
from postroom_worker.conclusion import Again, Hold, public
from postroom_worker.delivery import Unopened, deliver
from postroom_worker.events import AttemptEnded
from postroom_worker.settlement import Parcel, Told, write_down
from postroom_worker.smtp import TurnedAway
from postroom_worker.timesheet import Lap, Timesheet
from postroom_worker.verdict import classify

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from postroom_broker.ledger.claims import Claims
    from postroom_worker.delivery import Ending, Office

# W3C Trace Context: both together are half a kilobyte at the most (its section 3.3.1.5).
TRACE_HEADERS = ("traceparent", "tracestate")
MOST_TRACE = 512
# Under which name a request tells its task that it was revoked.
IS_REVOKED = "postroom_is_revoked"


class DeliverRequest(SafeRequest):
    """A request that only the ledger ends: Celery would drop a revoked message, and with it what its attempts achieved."""

    def revoked(self) -> bool:
        """Whether Celery may drop it; a revoked message under a lease is given to the task, which ends the delivery."""
        expires: Any = self.expires  # the stubs leave out that it may be none
        if expires or not _is_leased(self.request_dict["properties"]):
            return bool(super().revoked())
        self.request_dict[IS_REVOKED] = self.id in revoked
        return False

    def terminate(self, pool: Any, signal: Any = None) -> None:
        """Let it be sent to its end, which nothing but its reply can tell."""
        if not _is_leased(self.request_dict["properties"]):
            super().terminate(pool, signal)
            return
        events.tell(events.RevokedTooLate(self.id))


class DeliverTask(AsyncTask):
    """`postroom.deliver(payload, progress=None)`."""

    name = TASK_DELIVER
    Request = "postroom_worker.tasks:DeliverRequest"
    # A delivery that failed is news for its sender, not an incident: Celery logs it in one line.
    throws = (PostroomError,)
    # Each step of a conversation has its timeout. A limit on the whole would drop mail that may have been sent.
    has_limits = False

    def __init__(self, office: Callable[[], Office], claims: Callable[[], Claims]) -> None:
        self._office = office
        self._claims = claims

    async def arun(self, request: Context, /, payload: str, progress: str | None = None) -> Any:
        """Make one attempt to deliver, and write down how it ended."""
        office, timesheet = self._office(), Timesheet()
        assignment = self._assignment(request)
        try:
            ending: Ending = await deliver(office, assignment, payload, progress, timesheet)
        except TurnedAway:
            raise HandBack from None
        except Exception as bug:  # noqa: BLE001 -- whatever it is, its text may quote the message and must not reach Celery
            events.tell(events.BugMet(assignment.id, type(bug).__name__, events.place_of(bug)))
            ending = Unopened(PostroomError(ErrorCode.INTERNAL, {"reason": type(bug).__name__}))
        if isinstance(ending, Overtaken):
            raise self._overtaken(request, ending.standing)
        trace = trace_of(request)
        parcel = Parcel(assignment.id, _queue_of(request), payload, request.retries or 0, progress, trace)
        settlement, told = write_down(ending, parcel, office.keyring)
        # An attempt that came as far as composing had a session, or asked for one.
        timesheet.lap(Lap.SMTP if Lap.COMPOSE in timesheet.laps_s else Lap.COMPOSE)
        standing = await assignment.settle(settlement)
        timesheet.lap(Lap.SETTLE)
        if standing in {Standing.LOST, Standing.ENDED}:
            raise self._overtaken(request, standing)
        told_event = replace(
            _event_of(assignment.id, ending, timesheet),
            traceparent=trace.get("traceparent"),
            tracestate=trace.get("tracestate"),
            queue=parcel.queue,
        )
        events.tell(told_event)
        # What is written down already, Celery neither stores nor publishes.
        request.ignore_result = is_written = standing is not None
        return _for_celery(told, settlement.act, is_written=is_written)

    def _assignment(self, request: Context) -> Assignment:
        delivery_id = str(request.id)
        properties = getattr(request, "properties", None) or {}
        is_repeated = bool((request.delivery_info or {}).get("redelivered"))
        if _is_leased(properties):
            is_revoked = getattr(request, IS_REVOKED, False)
            return Leased(delivery_id, properties["delivery_tag"], self._claims(), is_repeated, is_revoked)
        return Unrecorded(delivery_id, is_repeated)

    def _overtaken(self, request: Context, standing: Standing) -> Ignore:
        events.tell(events.AttemptOvertaken(str(request.id), standing.value))
        request.ignore_result = True
        return Ignore(standing.value)


def _is_leased(properties: Mapping[str, Any]) -> bool:
    return str(properties.get("delivery_tag", "")).startswith(LEASE_PREFIX)


def _for_celery(told: Told, act: Act, *, is_written: bool) -> Any:
    """Return or raise what Celery is told."""
    if is_written and act in {Act.HOLD, Act.BURY}:
        raise Ignore("held")  # neither a success nor a failure: an operator decides
    if isinstance(told, RetryLater):
        return replace(told, is_published=is_written)
    if isinstance(told, Exception):
        raise told
    return told


def _event_of(delivery_id: str, ending: Outcome | Again | Hold | Unopened, timesheet: Timesheet) -> AttemptEnded:
    told = AttemptEnded(
        delivery_id,
        State.HELD,
        seconds=timesheet.seconds,
        waited_s=timesheet.waited_s,
        smtp_s=timesheet.smtp_s,
        laps_s=timesheet.laps_s,
    )
    match ending:
        case Outcome():
            report = ending.report
            told = replace(
                _with_error(told, ending.error),
                state=ending.state,
                code=ending.code,
                attempts=report.attempts,
                possible_duplicate=report.possible_duplicate,
                accepted=len(report.accepted),
                refused=len(report.refused),
                unknown=len(report.unknown),
            )
        case Again():
            failure, attempts = classify(ending.error).value, ending.progress.attempts
            told = replace(told, state=State.RETRYING, failure=failure, after_s=ending.after_s, attempts=attempts)
            told = _with_error(told, ending.error)
        case Hold():
            told = _with_error(replace(told, attempts=ending.progress.attempts), ending.error)
        case Unopened():
            told = _with_error(told, ending.error)
    return told


def _with_error(told: AttemptEnded, error: PostroomError | None) -> AttemptEnded:
    if error is None:
        return told
    shown = public(error)
    return replace(
        told,
        code=int(shown.error_code),
        reason=shown.reason,
        smtp_code=shown.smtp_code,
        enhanced_code=shown.enhanced_code,
    )


def trace_of(request: Context) -> dict[str, str]:
    """The trace context that a message brought along, to be handed on with its next attempt."""
    found = {name: getattr(request, name, None) for name in TRACE_HEADERS}
    # Others may write into a queue; what is no short text is no context.
    return {name: value for name, value in found.items() if isinstance(value, str) and len(value) <= MOST_TRACE}


def _queue_of(request: Context) -> str:
    return str((request.delivery_info or {}).get("routing_key"))
