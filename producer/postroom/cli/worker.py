"""`postroom worker`: become the worker.

Owns nothing but the change of programs: the worker is a package of its own, which the producer never imports, and it
takes over this very process, so that signals reach it.
"""

import importlib.util
import os
import sys

import click

from postroom.cli.failure import CommandFailure
from postroom.cli.output import ExitCode

HELP = """Send what is queued, until told to stop.

    \b
    Examples:
      postroom worker
      postroom worker -c 500 --loglevel WARNING

    It needs POSTROOM_KEYS and POSTROOM_PASSWORD_KEYS. SIGTERM ends it in good order: what is being sent is finished,
    what is waiting stays queued.
"""


@click.command(short_help="Run the worker that sends what is queued.", help=HELP)
@click.option("-c", "--concurrency", metavar="N", type=click.IntRange(1, 5000), help="Messages sent at the same time.")
@click.option("-n", "--name", help="Its name in Flower and the log; of two workers on one machine each needs its own.")
@click.option(
    "-l",
    "--loglevel",
    type=click.Choice(["DEBUG", "INFO", "WARNING", "ERROR"], case_sensitive=False),
    help="How much it logs.",
)
def worker(concurrency: int | None, name: str | None, loglevel: str | None) -> None:
    """Run a worker."""
    if importlib.util.find_spec("aiosmtplib") is None:
        raise CommandFailure(
            "the worker is not installed here: pip install '.[worker]' in Postroom's folder", ExitCode.BAD_SETTINGS
        )
    asked = {"--concurrency": concurrency, "--name": name, "--loglevel": loglevel}
    options = [f"{option}={value}" for option, value in asked.items() if value is not None]
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, "-m", "postroom_worker", *options])  # noqa: S606 -- our own interpreter
