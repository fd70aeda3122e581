"""Asking a receipt what became of its message, with or without waiting for it.

Owns the `--wait` option and the one way in which `send` and `status` find out what to print. How a receipt knows is the
producer's business, what the answer looks like `output`'s.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from postroom.cli.output import story
from postroom_contract.error_codes import ErrorCode
from postroom_contract.outcome import OUTCOMES, State

if TYPE_CHECKING:
    from postroom.receipt import Receipt

Command = TypeVar("Command", bound=Callable[..., Any])


def wait_option(help_text: str) -> Callable[[Command], Command]:
    """The option under its one name; the command gets it as `wait_s`."""
    return click.option("--wait", "wait_s", type=float, metavar="S", callback=_check_seconds, help=help_text)


def ask(receipt: "Receipt", wait_s: float) -> dict[str, Any]:
    """What is known about a delivery once it is decided or the time is over.

    Raises:
        BrokerUnavailable: Redis is away.
    """
    # Of what left no trace, none will appear: there is nothing to wait for.
    if receipt.state() is State.NOT_FOUND:
        click.echo(
            f"postroom: no trace of {receipt.id} at this POSTROOM_BROKER_URL; outcomes are kept for a day", err=True
        )
        return story(State.NOT_FOUND, receipt.id)
    try:
        return receipt.outcome(timeout=wait_s).as_dict()
    except TimeoutError:
        state = receipt.state()
    if state is State.QUEUED and wait_s:
        click.echo("postroom: still queued; is a worker running with the same POSTROOM_BROKER_URL?", err=True)
    if state is State.HELD:
        click.echo(f"postroom: {what_held_needs(receipt)}", err=True)
    # Decided in the very moment between the two questions.
    return receipt.outcome(timeout=0).as_dict() if state in OUTCOMES else story(state, receipt.id, error=receipt.why())


def what_held_needs(receipt: "Receipt") -> str:
    """Where to go on with a held message: two kinds are, and each has commands of its own."""
    why = receipt.why()
    if why is not None and why.code is ErrorCode.UNKNOWN_OUTCOME:
        return f"an operator decides, by `postroom held send {receipt.id}` or `postroom held drop {receipt.id}`"
    return f"it waits among the dead letters; `postroom dead show {receipt.id}` says what to do"


def _check_seconds(_context: click.Context, _option: click.Parameter, wait_s: float | None) -> float | None:
    """Refuse times before now; "nan" compares with nothing, and is refused too."""
    if wait_s is not None and not wait_s >= 0:
        raise click.BadParameter("give a number of seconds, 0 or more")
    return wait_s
