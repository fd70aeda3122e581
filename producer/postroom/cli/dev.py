"""`postroom dev`: run everything on this machine, for whoever writes a program that sends mail.

Owns the command and what it prints; `postroom.dev` runs.
"""

from pathlib import Path

import click

from postroom.cli.failure import CommandFailure
from postroom.cli.output import ExitCode

HELP = """Run a broker, a worker, an inbox and Flower on this machine, until Ctrl-C.

    \b
    Example:
      postroom dev                       prints addresses, and what to export
      source .postroom/env               in the shell of your program
      postroom send message.json         with "Session": "dev"; the mail is in the inbox

    Mail goes nowhere else: sessions that POSTROOM_SESSIONS_FILE names lead to the inbox, too. Keys and what is queued are
    kept in the folder. With POSTROOM_SCHEDULE_FILE a beat runs too.
"""


@click.command(short_help="Run everything on this machine, with an inbox.", help=HELP)
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    default=Path(".postroom"),
    show_default=True,
    help="Where keys and queue are kept.",
)
def dev(folder: Path) -> None:
    """Run it."""
    from postroom.dev.place import PlaceRefused  # noqa: PLC0415 -- brings in servers, as do these
    from postroom.dev.run import MissingPart, run  # noqa: PLC0415
    from postroom.local.child import ChildFailed  # noqa: PLC0415

    try:
        run(folder, click.echo)
    except (MissingPart, PlaceRefused, ChildFailed) as failed:
        raise CommandFailure(str(failed), ExitCode.BAD_SETTINGS) from None
