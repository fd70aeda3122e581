"""Asking for consent before something is done that cannot be undone.

Owns the option `--yes` and the one question: at a terminal a person is asked, and where there is none a script has to have
said it beforehand. What is to be done, and to what, is the command's business.
"""

import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def yes_option() -> Callable[[Command], Command]:
    """The option under its one name; the command gets it as `is_agreed`."""
    return click.option("--yes", "is_agreed", is_flag=True, help="Do not ask. Needed where no terminal is.")


def refuse_to_guess() -> None:
    """Return if there is a terminal at which a person can be asked.

    Raises:
        UsageError: there is none.
    """
    if not sys.stdin.isatty():
        raise click.UsageError("this cannot be undone, and nobody is there to be asked: give --yes")


def ask_consent(question: str) -> None:
    """Return if a person says yes.

    Raises:
        UsageError: nobody is there to be asked.
        Abort: the answer was no.
    """
    refuse_to_guess()
    click.confirm(question, abort=True, err=True)
