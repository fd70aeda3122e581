"""`postroom schedule`: see what waits for its time, call it back, move it.

Owns the three commands and the form of their lines. A message gets its time from `SendAt` when it is sent; when it is due,
and whether it is too late to call it back, Redis decides.
"""

from itertools import islice

import click

from postroom.cli.acting import act_on, ids_argument
from postroom.cli.output import print_line
from postroom.options import check_time
from postroom_contract.outcome import State

HELP = """List, cancel or move messages that wait for their time ("SendAt").

    \b
    Examples:
      postroom schedule list --limit 10
      postroom schedule cancel 7f9c24e8-3b12-4fef-91e0-5d8a6c0c1b2a
      postroom schedule move 7f9c24e8-3b12-4fef-91e0-5d8a6c0c1b2a 2030-03-01T09:00:00+01:00
"""

CANCEL_HELP = """Call messages back: nothing (more) of them is sent.

    It works until the last byte is about to leave, for a message that waits for its time, is queued, is being tried again or
    is being sent. Each id is answered by one line of JSON: {"id", "done", "state"}. The exit code is 0 when all were called
    back; 16 when one was not, because it is too late or there is no such message: its state tells which.
"""

MOVE_HELP = """Send a message that waits for its time at TIME instead.

    TIME is ISO 8601 with an offset, such as 2030-03-01T09:00:00+01:00; one that has passed means now. The exit code is 16
    when the message does not wait any more; its state is told.
"""


@click.group(short_help="List, cancel or move messages that wait for their time.", help=HELP)
def schedule() -> None:
    """See and change what is scheduled."""


@schedule.command("list", short_help="Print what waits, the next first.")
@click.option("--limit", metavar="N", type=click.IntRange(min=1), help="Print the next N only.")
def list_scheduled(limit: int | None) -> None:
    """Print one line of JSON for each message that waits for its time, the next first: {"id", "state", "send_at"}."""
    from postroom.mailer import Mailer  # noqa: PLC0415 -- brings in redis, which `--help` can do without

    with Mailer.from_env() as mailer:
        for receipt, due_at in islice(mailer.scheduled(), limit):
            print_line({"id": receipt.id, "state": State.SCHEDULED.value, "send_at": due_at.isoformat()})


@schedule.command(short_help="Call messages back.", help=CANCEL_HELP)
@ids_argument()
def cancel(delivery_ids: tuple[str, ...]) -> None:
    """Call messages back."""
    act_on(delivery_ids, lambda receipt: receipt.cancel())


@schedule.command(short_help="Give a message another time.", help=MOVE_HELP)
@click.argument("delivery_id", metavar="ID")
@click.argument("time")
def move(delivery_id: str, time: str) -> None:
    """Move a message to another time."""
    send_at = check_time(time)
    act_on([delivery_id], lambda receipt: receipt.reschedule(send_at))
