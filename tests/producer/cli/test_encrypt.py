"""`postroom encrypt`: how the secret comes in, what comes out, and that nothing of it is ever shown."""

import os
import pty
import subprocess
import sys

import pytest

from postroom_contract.encrypted_text import EncryptedText, password_place
from postroom_contract.errors import SealException
from postroom_contract.sealing import Keyring
from tests.producer.cli.conftest import PASSWORD, Command, Keys

SERVER = ["--host", "smtp.example.org", "--port", "465", "--username", "me"]


def opened(printed: str, keys: Keys, *, host: str = "smtp.example.org", use_ssl: bool = True) -> str:
    """Open what the command printed, as the worker does."""
    place = password_place(host, 465, use_ssl=use_ssl, username="me")
    return EncryptedText(printed.strip()).open(Keyring.parse(keys.password), place)


@pytest.mark.parametrize("end", ["", "\n", "\r\n"], ids=["no end", "newline", "CRLF"])
def test_piped_password_is_encrypted_without_its_line_end(command: Command, keys: Keys, end: str) -> None:
    """What `echo` adds is not part of the password."""
    done = command("encrypt", *SERVER, stdin=PASSWORD + end)

    assert done.exit_code == 0
    assert opened(done.stdout, keys) == PASSWORD
    assert PASSWORD not in done.output


def test_spaces_belong_to_the_password(command: Command, keys: Keys) -> None:
    """Nothing but the line end is taken away."""
    assert opened(command("encrypt", *SERVER, stdin=" pass word \n").stdout, keys) == " pass word "


def test_password_is_bound_to_its_server(command: Command, keys: Keys) -> None:
    """It does not open for another host or TLS mode."""
    printed = command("encrypt", *SERVER, "--no-ssl", stdin=PASSWORD).stdout

    assert opened(printed, keys, use_ssl=False) == PASSWORD
    with pytest.raises(SealException):
        opened(printed, keys)
    with pytest.raises(SealException):
        opened(printed, keys, host="elsewhere.example.org", use_ssl=False)


def test_international_host_is_bound_as_session_details_name_it(command: Command, keys: Keys) -> None:
    """The worker compares with the A-label form."""
    server = ["--host", "bücher.example", "--port", "465", "--username", "me"]

    assert opened(command("encrypt", *server, stdin=PASSWORD).stdout, keys, host="xn--bcher-kva.example") == PASSWORD


def test_text_is_bound_to_nothing(command: Command, keys: Keys) -> None:
    """A host or a user name may be encrypted too."""
    printed = command("encrypt", "--text", stdin="smtp.example.org\n").stdout

    assert EncryptedText(printed.strip()).open(Keyring.parse(keys.password)) == "smtp.example.org"


@pytest.mark.parametrize(
    ("arguments", "exit_code", "complaint"),
    [
        (["--host", "h", "--port", "465"], 2, "--username"),
        (["--text", "--host", "h"], 2, "--text"),
        (["--host", "h", "--port", "70000", "--username", "me"], 65, "Port is out of range"),
        (["--host", "", "--port", "465", "--username", "me"], 65, "Host is required and is empty"),
        (["--host", "h", "--port", "465", "--username", ""], 65, "Username is required and is empty"),
    ],
)
def test_wrong_server_is_told_before_the_secret_is_asked_for(
    command: Command, arguments: list[str], exit_code: int, complaint: str
) -> None:
    """What session details would refuse is refused here."""
    done = command("encrypt", *arguments, stdin=PASSWORD)

    assert (done.exit_code, done.stdout) == (exit_code, "")
    assert complaint in done.stderr


def test_encrypted_host_cannot_be_bound_to(command: Command, keys: Keys) -> None:
    """The password has to be bound to the host itself."""
    host = command("encrypt", "--text", stdin="smtp.example.org").stdout.strip()
    done = command("encrypt", "--host", host, "--port", "465", "--username", "me", stdin=PASSWORD)

    assert done.exit_code == 65
    assert "in the clear" in done.stderr


@pytest.mark.parametrize("secret", [b"", b"\n", b"two\nlines\n", b"nul\0", b"\xff\xfe"])
def test_secret_that_no_server_takes_is_refused(command: Command, secret: bytes) -> None:
    """Nothing, several lines, a NUL or other than UTF-8 is a slip; the line does not quote it."""
    done = command("encrypt", *SERVER, stdin=secret)

    assert (done.exit_code, done.stdout) == (65, "")
    assert "lines" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_missing_keys_are_a_wrong_setting(command: Command) -> None:
    """The line says which variable and how to make a key."""
    done = command("encrypt", *SERVER, stdin=PASSWORD, POSTROOM_PASSWORD_KEYS=None)

    assert done.exit_code == 78
    assert "POSTROOM_PASSWORD_KEYS" in done.stderr
    assert "postroom keygen" in done.stderr


def test_prompt_shows_nothing_of_what_is_typed(keys: Keys) -> None:
    """At a terminal the password is asked for twice and never echoed."""
    ours, terminal = pty.openpty()
    environment = {**os.environ, "POSTROOM_PASSWORD_KEYS": keys.password}
    process = subprocess.Popen(
        [sys.executable, "-m", "postroom", "encrypt", *SERVER],
        env=environment,
        stdin=terminal,
        stderr=terminal,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    os.close(terminal)
    shown = read_until(ours, "Password: ")
    os.write(ours, f"{PASSWORD}\n".encode())
    shown += read_until(ours, "confirmation: ")
    os.write(ours, f"{PASSWORD}\n".encode())
    printed, _ = process.communicate(timeout=30)
    os.close(ours)

    assert process.returncode == 0
    assert opened(printed, keys) == PASSWORD
    assert PASSWORD not in shown


def read_until(terminal: int, words: str) -> str:
    """Read what a terminal shows until these words stand there; pytest's own timeout is the deadline."""
    shown = ""
    while words not in shown:
        shown += os.read(terminal, 1024).decode()
    return shown
