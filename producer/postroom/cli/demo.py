"""`postroom demo`: show the whole thing at work on this machine.

Owns nothing but the way in; what is shown, and on which servers, is `postroom.demo`'s.
"""

import json

import click

from postroom.cli.failure import CommandFailure
from postroom.cli.output import ExitCode

HELP = """Send example mail through a real queue, a real worker and a local SMTP server.

    Nothing needs to be prepared, and nothing leaves this machine: the demo brings up an embedded Valkey, two SMTP servers
    with TLS and logins, and a worker process, sends examples that must arrive and examples that must fail, compares what
    arrived with what was asked, and cleans up. It takes about twenty seconds.

    \b
    Example:
      postroom demo
      postroom demo --json | python -m json.tool

    The exit code is 0 when everything came out as it should, otherwise 70.
"""


@click.command(short_help="Watch it all work on this machine, with nothing prepared.", help=HELP)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of a table.")
def demo(*, as_json: bool) -> None:
    """Show it at work."""
    # What these bring in (redis, the demo's servers) is of no use to any other command.
    from postroom.demo.show import BrokerMissing, ComponentMissing, run  # noqa: PLC0415
    from postroom.demo.table import render  # noqa: PLC0415
    from postroom.local.child import ChildFailed  # noqa: PLC0415

    try:
        # Progress goes where it does not disturb whoever reads the report.
        report = run(lambda line: click.echo(line, err=True))
    except ComponentMissing as missing:
        raise CommandFailure(str(missing), ExitCode.BAD_SETTINGS) from missing
    except BrokerMissing as missing:
        raise CommandFailure(str(missing), ExitCode.BROKER_UNAVAILABLE) from missing
    except ChildFailed as failed:
        raise CommandFailure(str(failed), ExitCode.OUR_OWN_BUG) from failed
    click.echo(json.dumps(report.as_dict()) if as_json else f"\n{render(report)}")
    if report.mistakes:
        complaint = f"{len(report.mistakes)} things are not as expected, first of all: {report.mistakes[0]}"
        raise CommandFailure(complaint, ExitCode.OUR_OWN_BUG)
