"""`postroom beat`: become the beat that sends recurring mail, or show when it would.

Owns the change of programs, as `postroom worker` does, and the listing of what is next. When anything is due is the business
of `postroom.beat`.
"""

import importlib.util
import os
import sys
from datetime import UTC, datetime

import click

from postroom.cli.failure import CommandFailure
from postroom.cli.output import ExitCode, print_line

HELP = """Send recurring mail, until told to stop.

    \b
    Examples:
      postroom beat --next 5     shows the next 5 times of each entry, and sends nothing
      postroom beat

    POSTROOM_SCHEDULE_FILE names the file of entries (docs/beat.md). It needs POSTROOM_KEYS and the sessions that the
    entries name, and no password keys. A second beat does no harm: each mail is sent once.
"""

# Enough for every entry of any file, and a listing that still ends.
MOST_SHOWN = 1000


@click.command(short_help="Send recurring mail, or show when it is due.", help=HELP)
@click.option(
    "--next",
    "shown",
    metavar="N",
    type=click.IntRange(1, MOST_SHOWN),
    help="Show the next N times of each entry, as JSON.",
)
@click.option(
    "-l",
    "--loglevel",
    type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR"], case_sensitive=False),
    default="INFO",
    help="How much it logs.",
)
def beat(shown: int | None, loglevel: str) -> None:
    """Run a beat."""
    if shown is not None:
        _show(shown)
        return
    if importlib.util.find_spec("aiosmtplib") is None:
        raise CommandFailure(
            "Celery's beat needs the worker's parts: pip install '.[worker]' in Postroom's folder",
            ExitCode.BAD_SETTINGS,
        )
    sys.stdout.flush()
    sys.stderr.flush()
    options = ["-A", "postroom_worker", "--quiet", "beat", "--loglevel", loglevel]
    os.execv(sys.executable, [sys.executable, "-m", "celery", *options])  # noqa: S606 -- our own interpreter


def _show(count: int) -> None:
    """Print one line of JSON for each slot: {"entry", "local", "send_at", "id"}."""
    from postroom.beat.schedule_file import entries_from_env  # noqa: PLC0415 -- Celery takes its time

    now = datetime.now(UTC)
    for entry in entries_from_env():
        if not entry.is_enabled:
            continue
        slot = entry.rhythm.next(now)
        for _ in range(count):
            if slot is None:
                break
            local = entry.local(slot).isoformat()
            print_line(
                {"entry": entry.name, "local": local, "send_at": slot.at.isoformat(), "id": entry.delivery_id(slot)}
            )
            slot = entry.rhythm.next(slot.at)
