"""`postroom held`: what an operator decides about messages that may have been delivered and asked to be held then.

Owns the three commands and the form of their lines. A message is held when it was sent with `OnUnknown` "hold" and the
server took its last byte and never answered; which those are, and what becomes of them, the ledger knows.
"""

from itertools import islice
from typing import TYPE_CHECKING

import click

from postroom.cli.acting import act_on, ids_argument
from postroom.cli.consent import ask_consent, yes_option
from postroom.cli.output import print_line
from postroom_contract.error_codes import ErrorCode
from postroom_contract.outcome import State

if TYPE_CHECKING:
    from postroom.receipt import Receipt

HELP = """Decide about messages that may have been delivered ("OnUnknown": "hold").

    \b
    The server took the last byte of such a message and never answered. Look into its
    log, then say which it was:
      postroom held list
      postroom held send 7f9c24e8-3b12-4fef-91e0-5d8a6c0c1b2a    it has not got it
      postroom held drop 7f9c24e8-3b12-4fef-91e0-5d8a6c0c1b2a    it has, or never mind
"""

SEND_HELP = """Send held messages again after all.

    They are queued at once, with the same Message-ID, and the outcome says "possible_duplicate". Each id is answered by one
    line of JSON: {"id", "done", "state"}. The exit code is 16 when one was not held.
"""

DROP_HELP = """Give held messages up: they are not sent again, and their outcome is "unknown", since somebody may have got them.

    It cannot be undone: a terminal asks first, a script has to give --yes. Each id is answered by one line of JSON:
    {"id", "done", "state"}. The exit code is 16 when one was not held.
"""


@click.group(short_help="Decide about messages that may have been delivered.", help=HELP)
def held() -> None:
    """See and decide what is held."""


@held.command("list", short_help="Print what is held, the oldest first.")
@click.option("--limit", metavar="N", type=click.IntRange(min=1), help="Print the oldest N only.")
def list_held(limit: int | None) -> None:
    """Print one line of JSON for each held message, the oldest first: {"id", "state", "held_at", "error"}."""
    from postroom.mailer import Mailer  # noqa: PLC0415 -- brings in redis, which `--help` can do without

    count = 0
    with Mailer.from_env() as mailer:
        for count, (receipt, held_at) in enumerate(islice(mailer.held(), limit), 1):  # noqa: B007 -- told below
            why = receipt.why()
            told = {"id": receipt.id, "state": State.HELD.value, "held_at": held_at.isoformat()}
            print_line({**told, "error": None if why is None else why.as_dict()})
    click.echo(f"postroom: {count} held message{'' if count == 1 else 's'}", err=True)


@held.command(short_help="Send held messages again after all.", help=SEND_HELP)
@ids_argument()
def send(delivery_ids: tuple[str, ...]) -> None:
    """Send messages again."""
    act_on(delivery_ids, lambda receipt: receipt.release())


@held.command(short_help="Give held messages up.", help=DROP_HELP)
@ids_argument()
@yes_option()
def drop(delivery_ids: tuple[str, ...], *, is_agreed: bool) -> None:
    """Give messages up."""
    count = len(delivery_ids)
    what = "this message" if count == 1 else f"these {count} messages"
    if not is_agreed:
        ask_consent(f"Give {what} up? Nothing is sent again, and the outcome is unknown.")
    act_on(delivery_ids, lambda receipt: _is_in_doubt(receipt) and receipt.cancel())


def _is_in_doubt(receipt: "Receipt") -> bool:
    # An id from elsewhere must not call back a message that is on its way; dead ones, held too, are dropped by `dead`.
    why = receipt.why()
    return receipt.state() is State.HELD and why is not None and why.code is ErrorCode.UNKNOWN_OUTCOME
