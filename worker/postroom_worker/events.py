"""What the worker tells about its deliveries: one event for each attempt, to all who listen.

Owns what an event says, the log line that is made of it, and the list of listeners (metrics listen as well). Only ids,
states, codes and counts: an address, a host or a reply's text must never get here. The task tells; how its log line is
spelled, JSON or text, is `log_format`'s.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from postroom_contract.error_codes import ErrorCode

if TYPE_CHECKING:
    from postroom_contract.outcome import State

logger = logging.getLogger("postroom.delivery")

# What spans are made of, and a log line can do without.
_FOR_TRACES = frozenset({"tracestate", "queue", "laps_s"})

# The attribute of a log record that bears an event's fields.
EVENT = "postroom_event"


@dataclass(frozen=True, slots=True)
class AttemptEnded:
    """An attempt was carried through, and what came of it is written down."""

    id: str
    # Final, or "retrying", or "held".
    state: State
    # Of the error, where there is one.
    code: int | None = None
    reason: str | None = None
    smtp_code: int | None = None
    enhanced_code: str | None = None
    # The class of a failure that is tried again, as the verdict table names it.
    failure: str | None = None
    # In which time it is tried again.
    after_s: float | None = None
    accepted: int = 0
    refused: int = 0
    unknown: int = 0
    attempts: int = 0
    possible_duplicate: bool = False
    seconds: float = 0.0
    # How long it waited for this attempt, since it could have been made; None where nobody noted it.
    waited_s: float | None = None
    # By step.
    smtp_s: Mapping[str, float] = field(default_factory=dict)
    # Where it belongs to a trace (W3C Trace Context).
    traceparent: str | None = None
    tracestate: str | None = None
    queue: str = ""
    # What the attempt consists of, by lap (`timesheet`).
    laps_s: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AttemptOvertaken:
    """An attempt came to nothing, because the delivery is over or with another worker."""

    id: str
    standing: str


@dataclass(frozen=True, slots=True)
class BugMet:
    """A mistake of our own: its kind and its place; its text might quote the message."""

    id: str
    kind: str
    place: str


@dataclass(frozen=True, slots=True)
class RevokedTooLate:
    """Celery was asked to end a delivery while it was being sent."""

    id: str


@dataclass(frozen=True, slots=True)
class NewsTold:
    """A host was told of an end, or could not be."""

    id: str
    # How the delivery has ended.
    state: State
    # "told", "put_off" or "dead".
    result: str
    # HTTP's, of a webhook that answered.
    status: int | None = None
    reason: str | None = None
    attempts: int = 0
    after_s: float | None = None


Event = AttemptEnded | AttemptOvertaken | BugMet | RevokedTooLate | NewsTold
Listener = Callable[[Event], None]

_listeners: list[Listener] = []


def listen(listener: Listener) -> None:
    """Have every event of this process from now on told to a listener, on the thread on which it happens."""
    _listeners.append(listener)


def stop_listening(listener: Listener) -> None:
    """Tell a listener nothing any more."""
    _listeners.remove(listener)


def tell(event: Event) -> None:
    """Tell an event to the log and to all who listen.

    What is told is written down already: a listener that fails must not make a delivery look failed.
    """
    _log(event)
    for listener in _listeners:
        try:
            listener(event)
        except Exception as bug:  # noqa: BLE001 -- whatever it is, the delivery has ended as it has ended
            logger.error("A listener met a bug: %s at %s", type(bug).__name__, place_of(bug))


def place_of(bug: BaseException) -> str:
    """Where in the code an exception arose."""
    place = bug.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    return f"{place.tb_frame.f_code.co_filename}:{place.tb_lineno}" if place is not None else "unknown"


def fields_of(event: Event) -> dict[str, Any]:
    """What an event says, without what it has nothing to say about."""
    said = {each.name: getattr(event, each.name) for each in fields(event) if each.name not in _FOR_TRACES}
    return {name: value for name, value in said.items() if value is not None and value != {}}


def _log(event: Event) -> None:
    match event:
        case AttemptEnded():
            told = "delivery %s is %s: %s"
            if event.state == "held":
                place = "held --help" if event.code == ErrorCode.UNKNOWN_OUTCOME else f"dead show {event.id}"
                _write(logging.ERROR, event, f"{told}; `postroom %s` tells what to do", *_spoken(event), place)
            else:
                _write(logging.INFO, event, told, *_spoken(event))
        case AttemptOvertaken():
            _write(logging.INFO, event, "delivery %s is left alone: %s", event.id, event.standing)
        case BugMet():
            _write(logging.ERROR, event, "delivery %s met a bug: %s at %s", event.id, event.kind, event.place)
        case RevokedTooLate():
            _write(logging.WARNING, event, "delivery %s was revoked too late: it is being sent", event.id)
        case NewsTold():
            level = {"told": logging.INFO, "put_off": logging.WARNING}.get(event.result, logging.ERROR)
            _write(level, event, "news of delivery %s is %s: %s", event.id, event.result, _words(event))


def _spoken(event: AttemptEnded) -> tuple[str, str, str]:
    return event.id, event.state.value, _words(event)


def _write(level: int, event: Event, text: str, *values: object) -> None:
    if logger.isEnabledFor(level):
        said = {"event": _NAMES[type(event)], **fields_of(event)}
        logger.log(level, text, *values, extra={EVENT: said})


def _words(event: AttemptEnded | NewsTold) -> str:
    """The fields in one line; times to the millisecond."""
    words = {name: value for name, value in fields_of(event).items() if name not in {"id", "state", "result", "smtp_s"}}
    if isinstance(event, AttemptEnded):
        words |= {f"smtp_{step}_s": seconds for step, seconds in event.smtp_s.items()}
    return " ".join(f"{name}={f'{value:.3f}' if isinstance(value, float) else value}" for name, value in words.items())


_NAMES: dict[type[Event], str] = {
    AttemptEnded: "attempt_ended",
    AttemptOvertaken: "attempt_overtaken",
    BugMet: "bug_met",
    RevokedTooLate: "revoked_too_late",
    NewsTold: "news_told",
}
