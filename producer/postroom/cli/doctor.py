"""`postroom doctor`: check the whole chain, and say what to mend.

Owns the options, the exit code and the choice between lines and JSON. What is checked is `postroom.doctor`'s business, and
what findings say the contract's.
"""

import ipaddress
import re
import time
from typing import TYPE_CHECKING

import click

from postroom.cli.output import ExitCode, print_line
from postroom_contract.address import to_wire
from postroom_contract.finding import Finding
from postroom_contract.finding_codes import FindingCode, Severity

if TYPE_CHECKING:
    from postroom.doctor.ground import Side

HELP = """Check settings, keys, Redis, workers, queues, mail servers and DNS records, and say what to mend.

    \b
    Examples:
      postroom doctor                          all sessions of POSTROOM_SESSIONS_FILE
      postroom doctor shop --dkim-selector s1  one session
      postroom doctor --json | jq 'select(.severity == "error")'

    Nothing is sent and nothing is changed. A mail server is logged in to once, hears MAIL FROM, and is told to forget it.
    It takes a second or two, and some ten where something does not answer. docs/doctor.md has every code.

    Exit codes: 0 in order, 17 warnings, 18 errors, 69 Redis unavailable, 78 bad settings.
"""

_BAD_SETTINGS = {
    FindingCode.SETTINGS_WRONG,
    FindingCode.KEYS_MISSING,
    FindingCode.PASSWORD_KEYS_MISSING,
    FindingCode.SESSIONS_FILE_WRONG,
    FindingCode.SESSION_UNKNOWN,
}
_NO_REDIS = {FindingCode.REDIS_AWAY, FindingCode.REDIS_REFUSES}

_DNS_PORT = 53


def _an_address(_context: click.Context, _parameter: click.Parameter, text: str | None) -> str | None:
    if text is not None and to_wire(text) is None:
        raise click.BadParameter("it is not a mail address")
    return text


def _a_name_server(_context: click.Context, _parameter: click.Parameter, text: str | None) -> tuple[str, int] | None:
    """Read `192.0.2.1`, `192.0.2.1:5353`, `2001:db8::1` or `[2001:db8::1]:5353`."""
    if text is None:
        return None
    found = re.fullmatch(r"\[(.+)\](?::(\d{1,5}))?", text) or re.fullmatch(r"([^:]+)(?::(\d{1,5}))?", text)
    host, port = (found[1], int(found[2] or _DNS_PORT)) if found else (text, _DNS_PORT)
    try:
        ipaddress.ip_address(host)
    except ValueError:
        raise click.BadParameter("it is not an IP address, with or without a port") from None
    return host, port


@click.command(short_help="Check the whole chain, and say what to mend.", help=HELP)
@click.argument("session", required=False)
@click.option(
    "--side",
    type=click.Choice(["producer", "worker"]),
    help="Whose settings these are; by default a worker's where POSTROOM_PASSWORD_KEYS is set.",
)
@click.option(
    "--from", "sender", metavar="ADDRESS", callback=_an_address, help="Who sends; by default the session's user name."
)
@click.option("--dkim-selector", "selectors", metavar="S", multiple=True, help="A DKIM key to look for; repeatable.")
@click.option(
    "--resolver", metavar="IP[:PORT]", callback=_a_name_server, help="The name server to ask for SPF, DKIM and DMARC."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line instead.")
def doctor(  # noqa: PLR0913 -- one for each option
    session: str | None,
    side: "Side | None",
    sender: str | None,
    selectors: tuple[str, ...],
    resolver: tuple[str, int] | None,
    *,
    as_json: bool,
) -> None:
    """Check the whole chain."""
    # These bring in redis, which `--help` can do without.
    from postroom.doctor.chart import chart  # noqa: PLC0415
    from postroom.doctor.examination import examine  # noqa: PLC0415
    from postroom.doctor.worker_side import Wishes  # noqa: PLC0415

    began_at = time.monotonic()
    findings = examine(side, session, Wishes(sender, selectors, resolver))
    if as_json:
        for finding in findings:
            print_line(finding.as_dict())
    else:
        for line in chart(findings, time.monotonic() - began_at):
            click.echo(line)
    raise SystemExit(exit_code_for(findings))


def exit_code_for(findings: list[Finding]) -> ExitCode:
    """The exit code of the worst: wrong settings before Redis, because they may be why it is away."""
    codes = {finding.code for finding in findings}
    worst = max((finding.severity for finding in findings), key=lambda severity: severity.rank, default=Severity.OK)
    if codes & _BAD_SETTINGS:
        return ExitCode.BAD_SETTINGS
    if codes & _NO_REDIS:
        return ExitCode.BROKER_UNAVAILABLE
    return {Severity.ERROR: ExitCode.ERRORS, Severity.WARNING: ExitCode.WARNINGS}.get(worst, ExitCode.OK)
