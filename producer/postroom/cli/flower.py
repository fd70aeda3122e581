"""`postroom flower`: become Flower, and show what the workers do.

Owns nothing but the change of programs. That Flower asks who is there, changes nothing and stays on this machine unless told
otherwise is seen to in the worker's package, for `celery -A postroom_worker flower` as well.
"""

import importlib.util
import os
import sys

import click

from postroom.cli.failure import CommandFailure
from postroom.cli.output import ExitCode

HELP = """Show workers and deliveries in a browser, until told to stop.

    \b
    Examples:
      postroom flower
      POSTROOM_FLOWER_AUTH=ann:secret postroom flower --address 0.0.0.0

    It needs no keys, shows nothing of any mail, and changes nothing. Without POSTROOM_FLOWER_AUTH it makes up a password
    and prints it. docs/flower.md says how to read it.
"""


@click.command(short_help="Show workers and deliveries in a browser.", help=HELP)
@click.option("-a", "--address", default="127.0.0.1", show_default=True, help="Where it listens.")
@click.option("-p", "--port", type=click.IntRange(0, 65535), default=5555, show_default=True, help="On which port.")
def flower(address: str, port: int) -> None:
    """Run Flower."""
    from postroom.testing.ports import is_free  # noqa: PLC0415 -- brings in servers, which `--help` can do without

    if any(importlib.util.find_spec(module) is None for module in ("flower", "aiosmtplib")):
        missing = "Flower is not installed here: pip install '.[flower]' in Postroom's folder"
        raise CommandFailure(missing, ExitCode.BAD_SETTINGS)
    if port and not is_free(port, address):
        taken = f"port {port} is taken (`postroom dev` shows Flower there, too): name another with --port"
        raise CommandFailure(taken, ExitCode.BAD_SETTINGS)
    sys.stdout.flush()
    sys.stderr.flush()
    options = ["-A", "postroom_worker", "flower", f"--address={address}", f"--port={port}"]
    os.execv(sys.executable, [sys.executable, "-m", "celery", *options])  # noqa: S606 -- our own interpreter
