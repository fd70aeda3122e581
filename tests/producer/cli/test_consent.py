"""Consent: given beforehand, given at a terminal, refused there, and missing where nobody can be asked."""

import os
import pty
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from postroom.cli.consent import ask_consent, yes_option

PROGRAM = """
from postroom.cli.consent import ask_consent
from postroom.cli.failure import CommandGroup
import click

@click.group(cls=CommandGroup)
@click.option("--debug", is_flag=True)
def group(debug): pass

@group.command()
def do():
    ask_consent("Really?")
    click.echo("done")

group(["do"])
"""


@click.command()
@yes_option()
def do(*, is_agreed: bool) -> None:
    """Do what cannot be undone."""
    if not is_agreed:
        ask_consent("Really?")
    click.echo("done")


def test_a_script_says_it_beforehand() -> None:
    """Then nothing is asked."""
    done = CliRunner().invoke(do, ["--yes"])

    assert (done.exit_code, done.output) == (0, "done\n")


def test_where_nobody_can_be_asked_nothing_is_done() -> None:
    """Wrong usage, and the line says what to give; what is piped in is no answer."""
    done = CliRunner().invoke(do, input="y\n")

    assert (done.exit_code, done.stdout) == (2, "")
    assert "--yes" in done.stderr


@pytest.mark.parametrize(
    ("answer", "exit_code", "printed"), [("y", 0, "done\n"), ("n", 130, ""), ("", 130, "")], ids=["yes", "no", "enter"]
)
def test_a_person_at_a_terminal_is_asked(answer: str, exit_code: int, printed: str) -> None:
    """No is what a mere Enter means; the question is not part of what a program reads."""
    ours, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdin=terminal, stderr=terminal, stdout=subprocess.PIPE, text=True
    )
    os.close(terminal)
    shown = ""
    while "[y/N]: " not in shown:  # pytest's own timeout is the deadline
        shown += os.read(ours, 1024).decode()
    os.write(ours, f"{answer}\n".encode())
    output, _ = process.communicate(timeout=30)
    os.close(ours)

    assert (process.returncode, output) == (exit_code, printed)
    assert shown.startswith("Really?")
