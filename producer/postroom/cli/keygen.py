"""`postroom keygen`: make a key for one of the key rings, or a secret that webhooks are signed with.

Owns nothing but printing it. What a key is, is the sealing module's business, what a secret is, the signature's.
"""

import click

from postroom_contract.sealing import KEY_ID, generate_key
from postroom_contract.webhook_signature import generate_secret

HELP = """Print a new key, ready for POSTROOM_KEYS or POSTROOM_PASSWORD_KEYS.

    \b
    Example:
      export POSTROOM_KEYS=$(postroom keygen)
      export POSTROOM_PASSWORD_KEYS=$(postroom keygen --id mail-2025)

    With --webhook it prints a secret for POSTROOM_WEBHOOK_SECRETS, which the receiver of webhooks has too.
    A ring may hold several, between commas: the first seals, all of them open. Keep keys out of files that others read.
"""


@click.command(short_help="Make a key for a key ring.", help=HELP)
@click.option("--id", "key_id", metavar="KID", help="The key's name (1 to 32 of A-Z a-z 0-9 _ -); made up if absent.")
@click.option("--webhook", is_flag=True, help="Make a secret that webhooks are signed with.")
def keygen(key_id: str | None, *, webhook: bool) -> None:
    """Print a new key."""
    if webhook:
        if key_id is not None:
            raise click.BadParameter("a webhook's secret has no name", param_hint="--id")
        click.echo(generate_secret())
        return
    if key_id is not None and not KEY_ID.fullmatch(key_id):
        raise click.BadParameter("a key id is 1 to 32 of A-Z a-z 0-9 _ -", param_hint="--id")
    click.echo(generate_key(key_id))
