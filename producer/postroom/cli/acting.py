"""Doing something to each of several deliveries, and telling truly what came of it.

Owns the argument `ID...`, the line that is printed for each, and the exit code of all together. What is done is the
receipt's business, and which commands do it is theirs.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from postroom.cli.asking import what_held_needs
from postroom.cli.output import ExitCode, print_line
from postroom_contract.outcome import State

if TYPE_CHECKING:
    from postroom.receipt import Receipt

Command = TypeVar("Command", bound=Callable[..., Any])


def ids_argument() -> Callable[[Command], Command]:
    """One id or more; the command gets them as `delivery_ids`."""
    return click.argument("delivery_ids", metavar="ID...", nargs=-1, required=True)


def act_on(delivery_ids: Sequence[str], act: "Callable[[Receipt], bool]") -> None:
    """Do it to each, and print `{"id", "done", "state"}` as it goes.

    Args:
        delivery_ids: which deliveries.
        act: does it; false where the delivery is not there any more to have it done to.

    Raises:
        SystemExit: it was not done to all of them.
        BrokerUnavailable: Redis is away; what was printed before was done.
    """
    from postroom.mailer import Mailer  # noqa: PLC0415 -- brings in redis, which `--help` can do without

    with Mailer.from_env() as mailer:
        is_done = [_told(mailer.receipt(delivery_id), act) for delivery_id in delivery_ids]
    if not all(is_done):
        raise SystemExit(ExitCode.NOT_FOUND)


def _told(receipt: "Receipt", act: "Callable[[Receipt], bool]") -> bool:
    is_done = act(receipt)
    state = receipt.state()
    print_line({"id": receipt.id, "done": is_done, "state": state.value})
    if state is State.HELD and not is_done:
        click.echo(f"postroom: {what_held_needs(receipt)}", err=True)
    return is_done
