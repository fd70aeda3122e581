"""What every command prints and returns: JSON lines of one shape, and exit codes.

Owns the exit codes and the JSON object that tells where a delivery is, for those states that have no outcome yet.
Scripts rely on both, so they change only by addition. Texts for people go to standard error, from `failure`.
"""

import json
from collections.abc import Mapping
from enum import IntEnum
from typing import Any

import click

from postroom_contract.errors import PostroomError
from postroom_contract.outcome import State


class ExitCode(IntEnum):
    """How a command ends; from 64 on as sysexits.h names them."""

    OK = 0
    FAILED = 10
    PARTIAL = 11
    UNKNOWN = 12
    CANCELLED = 13
    EXPIRED = 14
    HELD = 15
    NOT_FOUND = 16
    # Of the doctor: mail is sent, but something is weaker than it should be; mail is not sent, or is lost.
    WARNINGS = 17
    ERRORS = 18
    BAD_INPUT = 65
    BROKER_UNAVAILABLE = 69
    OUR_OWN_BUG = 70
    STILL_PENDING = 75
    BAD_SETTINGS = 78
    # What a shell reports of a program that Ctrl-C ended.
    INTERRUPTED = 130


EXIT_CODES = {
    State.REFUSED: ExitCode.BAD_INPUT,
    State.NOT_FOUND: ExitCode.NOT_FOUND,
    State.QUEUED: ExitCode.STILL_PENDING,
    State.SCHEDULED: ExitCode.STILL_PENDING,
    State.SENDING: ExitCode.STILL_PENDING,
    State.RETRYING: ExitCode.STILL_PENDING,
    State.HELD: ExitCode.HELD,
    State.SENT: ExitCode.OK,
    State.PARTIAL: ExitCode.PARTIAL,
    State.FAILED: ExitCode.FAILED,
    State.UNKNOWN: ExitCode.UNKNOWN,
    State.CANCELLED: ExitCode.CANCELLED,
    State.EXPIRED: ExitCode.EXPIRED,
}


def story(
    state: State, delivery_id: str | None, *, message_id: str | None = None, error: PostroomError | None = None
) -> dict[str, Any]:
    """Where a delivery without an outcome is, in the shape that `Outcome.as_dict` gives to one that has it."""
    return {
        "id": delivery_id,
        "state": state.value,
        "message_id": message_id,
        "accepted": [],
        "refused": {},
        # How often a worker has tried is part of the outcome: until then only a worker knows.
        "attempts": None if state in {State.SENDING, State.RETRYING, State.HELD} else 0,
        "possible_duplicate": False,
        "error": None if error is None else error.as_dict(),
    }


def print_line(document: Mapping[str, Any]) -> None:
    """Print one JSON object as one line of ASCII, which every terminal and every pipe can carry."""
    click.echo(json.dumps(document))


def exit_code_of(told: Mapping[str, Any]) -> ExitCode:
    """The exit code for what `story` or `Outcome.as_dict` tells."""
    return EXIT_CODES[State(told["state"])]
