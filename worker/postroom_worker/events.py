"""What the worker tells about its deliveries: one event for each attempt.

Owns the words and fields of the log line; metrics and traces will hang on the same events. Only ids, states, codes and
counts: an address, a host or a reply's text must never get here.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from postroom_contract.error_codes import ErrorCode

if TYPE_CHECKING:
    from postroom_contract.errors import PostroomError
    from postroom_contract.outcome import Outcome

logger = logging.getLogger("postroom.delivery")


def attempt_ended(outcome: Outcome, seconds: float) -> None:
    """Tell of a delivery that has ended."""
    logger.info(
        "delivery %s is %s: code=%s accepted=%d refused=%d attempts=%d seconds=%.3f",
        outcome.id,
        outcome.state.value,
        outcome.code,
        len(outcome.accepted),
        len(outcome.refused),
        outcome.attempts,
        seconds,
    )


def attempt_put_off(delivery_id: str, error: PostroomError, after_s: float, attempts: int) -> None:
    """Tell of a delivery that will be tried again."""
    logger.info(
        "delivery %s is retrying: code=%s reason=%s smtp_code=%s attempts=%d after_s=%.1f",
        delivery_id,
        error.error_code,
        error.reason,
        error.smtp_code,
        attempts,
        after_s,
    )


def attempt_held(delivery_id: str, error: PostroomError) -> None:
    """Tell of a delivery that waits for an operator."""
    told = "delivery %s is held: code=%s reason=%s; `postroom %s` tells what to do"
    place = "held --help" if error.code is ErrorCode.UNKNOWN_OUTCOME else f"dead show {delivery_id}"
    logger.error(told, delivery_id, error.error_code, error.reason, place)


def attempt_overtaken(delivery_id: str, standing: str) -> None:
    """Tell of an attempt that came to nothing, because the delivery is over or with another worker."""
    logger.info("delivery %s is left alone: %s", delivery_id, standing)


def revoked_too_late(delivery_id: str) -> None:
    """Tell of a delivery whose task Celery was asked to end while it was being sent."""
    logger.warning("delivery %s was revoked too late: it is being sent", delivery_id)


def bug_met(delivery_id: str, bug: BaseException) -> None:
    """Tell of a mistake of our own: its kind and its place; its text might quote the message."""
    place = bug.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = f"{place.tb_frame.f_code.co_filename}:{place.tb_lineno}" if place is not None else "unknown"
    logger.error("delivery %s met a bug: %s at %s", delivery_id, type(bug).__name__, where)
