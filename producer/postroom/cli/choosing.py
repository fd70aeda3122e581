"""Which dead letters a command is meant for: those with certain names, or all of a kind.

Owns the arguments that say so, what is told of names that mean none or several, and the question before anything is
dropped. What is done with the chosen ones is `dead`'s, how entries are found the broker's business.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import click

from postroom.cli.consent import ask_consent
from postroom.cli.output import print_line
from postroom_broker.death_reasons import DeathReason

if TYPE_CHECKING:
    from postroom_broker.dead_letters import DeadLetter, DeadLetters

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True)
class Choice:
    """What the command line says."""

    names: tuple[str, ...]
    is_all: bool
    reason: str | None
    # Names that mean no entry, or several, by what was printed of them.
    problems: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        if self.is_all == bool(self.names):
            raise click.UsageError("name the messages by their ids or handles, or say --all")
        if self.reason and not self.is_all:
            raise click.UsageError("--reason goes with --all")

    def among(self, letters: "DeadLetters") -> "Iterable[DeadLetter]":
        """The entries meant, each once; what is wrong with a name is told at once."""
        return of_reason(letters.scan(), self.reason) if self.is_all else self._named(letters)

    def agreed(self, letters: "DeadLetters") -> "Iterable[DeadLetter]":
        """The same, once a person has said that they may be dropped.

        Raises:
            Abort: they may not.
        """
        if not self.is_all:
            named = list(self.among(letters))
            _ask(len(named))
            return named
        handles = [letter.handle for letter in self.among(letters)]
        _ask(len(handles))
        # What has died while the question was read was not part of it.
        meant = set(handles)
        return (letter for letter in letters.scan() if letter.handle in meant)

    def _named(self, letters: "DeadLetters") -> "Iterable[DeadLetter]":
        meant: dict[str, DeadLetter] = {}
        for name, found in letters.find(self.names).items():
            if len(found) == 1:
                meant[found[0].handle] = found[0]
                continue
            result = "ambiguous" if found else "not_found"
            self.problems[result] += 1
            print_line({"id": name, "handle": None, "result": result})
            if found:
                handles = " ".join(letter.handle for letter in found)
                told = f"{name} has {len(found)} entries; name them by their handles: {handles}"
                click.echo(f"postroom: {told}", err=True)
        return meant.values()


def reason_option(command: Command) -> Command:
    """The option that keeps to one reason; the command gets it as `reason`."""
    choice = click.Choice([reason.value for reason in DeathReason])
    return click.option("--reason", type=choice, help="Only those that died of this.")(command)


def choice_options(command: Command) -> Command:
    """The arguments of a `Choice`, under its fields' names."""
    told = "All of them, or with --reason all of that kind."
    command = click.option("--all", "is_all", is_flag=True, help=told)(reason_option(command))
    return click.argument("names", metavar="ID...|--all", nargs=-1)(command)


def of_reason(letters: "Iterable[DeadLetter]", reason: str | None) -> "Iterable[DeadLetter]":
    """Those that died of this reason; None: all."""
    return (letter for letter in letters if reason in {None, letter.reason})


def counted(count: int) -> str:
    """So many dead letters, in words."""
    return "1 dead letter" if count == 1 else f"{count} dead letters"


def _ask(count: int) -> None:
    if count:
        ask_consent(f"Drop {counted(count)} for good? The mail will never be sent.")
