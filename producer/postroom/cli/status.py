"""`postroom status`: tell what became of a message that was handed over, by any process, anywhere.

Owns nothing but its steps: ask and print.
"""

import click

from postroom.cli.asking import ask, wait_option
from postroom.cli.output import exit_code_of, print_line

HELP = """Print where the delivery ID is, as one line of JSON.

    \b
    Examples:
      postroom status 7f9c24e8-3b12-4fef-91e0-5d8a6c0c1b2a
      postroom status 7f9c24e8-3b12-4fef-91e0-5d8a6c0c1b2a --wait 60

    The exit code is the state's: 0 for sent, 75 while it is pending, 16 when there is no such delivery; the others stand
    in `postroom --help`. Outcomes are kept for a day.
"""


@click.command(short_help="Tell what became of a message.", help=HELP)
@click.argument("delivery_id", metavar="ID")
@wait_option("Wait up to S seconds for the outcome.")
def status(delivery_id: str, wait_s: float | None) -> None:
    """Tell where a delivery is."""
    from postroom.mailer import Mailer  # noqa: PLC0415 -- brings in redis, which `--help` can do without

    with Mailer.from_env() as mailer:
        told = ask(mailer.receipt(delivery_id), wait_s or 0)
    print_line(told)
    raise SystemExit(exit_code_of(told))
