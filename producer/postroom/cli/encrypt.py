"""`postroom encrypt`: turn a password into the encrypted text that session details ask for.

Owns how the secret comes in: piped, or typed at a prompt that shows nothing; never as an argument, which every user of
the machine can read. What the text is bound to and how it is sealed is the contract's business.
"""

import sys

import click

from postroom.cli.failure import CommandFailure
from postroom.cli.output import ExitCode
from postroom_contract.encrypted_text import EncryptedText
from postroom_contract.environment import read_keyring
from postroom_contract.session import ServerDetails, UserCredentials
from postroom_contract.text import has_control_characters

HELP = """Encrypt an SMTP password with the first key of POSTROOM_PASSWORD_KEYS.

    \b
    The password is typed at a prompt, or piped in:
      postroom encrypt --host smtp.example.org --port 465 --username me@example.org
      pass show smtp | postroom encrypt --host smtp.example.org --port 587 --no-ssl --username me

    The result opens for this host, port, TLS mode and user name only: a copy of it is of no use for another server.
    Host and user name may be encrypted too: with --text, which binds to nothing.
"""


@click.command(short_help="Encrypt an SMTP password for session details.", help=HELP)
@click.option("--host", metavar="H", help="The server, as the session details will name it.")
@click.option("--port", metavar="P", type=int, help="Its port.")
@click.option("--no-ssl", is_flag=True, help="For session details with UseSsl false (STARTTLS).")
@click.option("--username", metavar="U", help="Whose password it is.")
@click.option("--text", "is_text", is_flag=True, help="Encrypt a host or a user name instead of a password.")
def encrypt(*, host: str | None, port: int | None, no_ssl: bool, username: str | None, is_text: bool) -> None:
    """Encrypt a password."""
    keyring = read_keyring("POSTROOM_PASSWORD_KEYS")
    if is_text:
        if (host, port, username, no_ssl) != (None, None, None, False):
            raise click.UsageError("--text binds to nothing: leave out --host, --port, --no-ssl and --username")
        click.echo(EncryptedText.encrypt(_secret("Text"), keyring=keyring).token)
        return
    if host is None or port is None or username is None:
        raise click.UsageError("a password is bound to its server and user: give --host, --port and --username")
    # The models know which values are good, and the form of a host that the worker will compare with.
    server = ServerDetails.accept({"host": host, "port": port})
    placeholder = EncryptedText.encrypt("", keyring=keyring)
    user = UserCredentials.accept({"username": username, "password": placeholder})
    if not isinstance(server.host, str) or not isinstance(user.username, str):
        raise CommandFailure(
            "give --host and --username in the clear: the password is bound to them", ExitCode.BAD_INPUT
        )
    secret = _secret("Password")
    encrypted = EncryptedText.encrypt(
        secret, keyring=keyring, host=server.host, port=server.port, use_ssl=not no_ssl, username=user.username
    )
    click.echo(encrypted.token)


def _secret(what: str) -> str:
    """The secret from a pipe, without the newline that `echo` adds, or from a prompt that shows nothing."""
    if sys.stdin.isatty():
        secret: str = click.prompt(what, hide_input=True, confirmation_prompt=True, err=True)
    else:
        try:
            secret = sys.stdin.buffer.read().decode()
        except UnicodeDecodeError:
            raise CommandFailure(f"the {what.lower()} is not UTF-8", ExitCode.BAD_INPUT) from None
        secret = secret.removesuffix("\n").removesuffix("\r")
    if not secret or has_control_characters(secret):
        wrong = "has a control character, or more than one line" if secret else "is empty"
        raise CommandFailure(f"the {what.lower()} on standard input {wrong}", ExitCode.BAD_INPUT)
    return secret
