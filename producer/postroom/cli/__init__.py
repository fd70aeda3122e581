"""The `postroom` command: what a person at a terminal, or a script, does with Postroom.

Owns the list of commands; each has a module of its own, and what all of them print and return is `output`'s. Commands
import what is heavy (Redis, the demo's servers) only when they run. Nothing here decides anything about mail.
"""

import click

from postroom.cli.beat import beat
from postroom.cli.dead import dead
from postroom.cli.demo import demo
from postroom.cli.dev import dev
from postroom.cli.doctor import doctor
from postroom.cli.encrypt import encrypt
from postroom.cli.failure import CommandGroup
from postroom.cli.flower import flower
from postroom.cli.held import held
from postroom.cli.keygen import keygen
from postroom.cli.schedule import schedule
from postroom.cli.send import send
from postroom.cli.status import status
from postroom.cli.worker import worker

HELP = """Send a program's mail through a queue, and learn what became of it.

    \b
    First steps:
      postroom demo                            watch it work, with nothing prepared
      postroom dev                             everything on this machine, with an inbox
      export POSTROOM_KEYS=$(postroom keygen) POSTROOM_PASSWORD_KEYS=$(postroom keygen)
      postroom encrypt --host ...              makes the password that message.json needs
      postroom worker                          sends what is queued
      postroom send message.json --wait 60     prints the outcome as one line of JSON

    \b
    Settings are environment variables: POSTROOM_BROKER_URL (redis://127.0.0.1:6379/0),
    POSTROOM_KEYS, POSTROOM_PASSWORD_KEYS, POSTROOM_SESSIONS_FILE and others.

    \b
    Exit codes:
       0 sent, or done          16 not found, too late   75 still pending
      10 failed                 65 bad input             78 bad settings
      11 partial                69 Redis unavailable      2 wrong usage
      12 unknown                70 our own mistake      130 interrupted
      13 cancelled   14 expired   15 held
      17 doctor: warnings       18 doctor: errors
"""


@click.group(cls=CommandGroup, help=HELP, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="postroom", prog_name="postroom", message="%(prog)s %(version)s")
@click.option("--debug", is_flag=True, help="Show the traceback of a mistake of Postroom's own.")
def main(*, debug: bool) -> None:
    """Run one command; its own options stand behind its name."""


for command in (demo, keygen, encrypt, send, status, schedule, held, dead, worker, beat, flower, dev, doctor):
    main.add_command(command)
