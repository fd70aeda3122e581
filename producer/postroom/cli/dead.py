"""`postroom dead`: look through the messages that no worker could finish, and decide about each.

Owns what is printed of them and the exit codes. Which ones are meant is `choosing`'s business, how they are found and
taken out `postroom_broker.dead_letters`'s. No keys are needed, and nothing that is sealed is opened.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

import click

from postroom.cli.choosing import Choice, choice_options, counted, of_reason, reason_option
from postroom.cli.consent import refuse_to_guess, yes_option
from postroom.cli.failure import CommandFailure
from postroom.cli.output import ExitCode, print_line
from postroom_broker.death_reasons import explain
from postroom_contract.environment import Environment

if TYPE_CHECKING:
    from postroom_broker.dead_letters import DeadLetter, DeadLetters

HELP = """Look through the messages that no worker could finish, and decide about each.

    \b
    Examples:
      postroom dead list
      postroom dead show 7f9c24e8-3b12-4fef-91e0-5d8a6c0c1b2a
      postroom dead requeue --all --reason too_many_deliveries
      postroom dead drop 3f1c9a0b7e24d586

    ID is the delivery's id or the entry's handle; both are in the list. Only POSTROOM_BROKER_URL is needed, no keys:
    nothing is opened. Why a message ended here, and what to do, is told by `show`.
"""

# What may become of an entry or a name, as standard error sums it up.
_IN_WORDS = {
    "requeued": "requeued",
    "dropped": "dropped",
    "kept": "kept, because no worker could read it",
    "gone": "taken out by somebody else meanwhile",
    "ambiguous": "with several entries",
    "not_found": "not found",
}


@click.group(short_help="Look through dead letters; requeue or drop them.", help=HELP)
def dead() -> None:
    """Work with dead letters."""


@dead.command("list", short_help="Print a line for each, the newest first.")
@reason_option
def list_dead(reason: str | None) -> None:
    """Print one line of JSON for each dead letter, the newest first."""
    counts: Counter[str] = Counter()
    with _dead_letters() as letters:
        for letter in of_reason(letters.scan(), reason):
            print_line(_told(letter))
            counts[letter.reason or "unknown"] += 1
    parts = ", ".join(f"{count} {name}" for name, count in counts.most_common())
    click.echo(f"postroom: {counted(counts.total())}{f' ({parts})' if parts else ''}", err=True)


@dead.command(short_help="Tell all that is known of one, and what to do.")
@click.argument("name", metavar="ID")
def show(name: str) -> None:
    """Print what is known of a dead letter, why it died, and what to do about it.

    One line of JSON for each entry of that name; the message itself stays sealed.
    """
    with _dead_letters() as letters:
        found = letters.find([name])[name]
    for letter in found:
        why = explain(letter.reason)
        print_line({**_told(letter), "explanation": why.what, "advice": why.advice})
    if not found:
        raise CommandFailure(f"no dead letter is called {name}", ExitCode.NOT_FOUND)


@dead.command(short_help="Put dead letters back into their queues.")
@choice_options
def requeue(names: tuple[str, ...], reason: str | None, *, is_all: bool) -> None:
    """Put dead letters back into their queues, behind what waits there, with their deliveries counted anew.

    What no worker could read is left where it is, and the exit code is 65. Where an earlier delivery may have sent the
    mail, the outcome will say possible_duplicate.
    """
    choice = Choice(names, is_all, reason)
    with _dead_letters() as letters:
        results = _decide(choice.among(letters), lambda letter: _requeue(letters, letter))
    _end(results, choice)


@dead.command(short_help="Remove dead letters for good.")
@choice_options
@yes_option()
def drop(names: tuple[str, ...], reason: str | None, *, is_all: bool, is_agreed: bool) -> None:
    """Remove dead letters for good: their mail will never be sent.

    At a terminal you are asked first; elsewhere --yes is needed.
    """
    choice = Choice(names, is_all, reason)
    if not is_agreed:
        refuse_to_guess()
    with _dead_letters() as letters:
        chosen = choice.among(letters) if is_agreed else choice.agreed(letters)
        results = _decide(chosen, lambda letter: "dropped" if letters.drop(letter) else "gone")
    _end(results, choice)


@contextmanager
def _dead_letters() -> "Iterator[DeadLetters]":
    """The list, with the one setting that it needs."""
    # These bring in redis, which `--help` can do without.
    from postroom_broker.connection import connect, read_broker_url  # noqa: PLC0415
    from postroom_broker.dead_letters import DeadLetters  # noqa: PLC0415

    environment = Environment()
    url = read_broker_url(environment)
    environment.refuse_mistakes()
    client = connect(url)
    try:
        yield DeadLetters(client)
    finally:
        client.close()


def _told(letter: "DeadLetter") -> dict[str, Any]:
    """An entry as JSON, without what is sealed in it."""
    return {
        "id": letter.delivery_id,
        "handle": letter.handle,
        "reason": letter.reason,
        "queue": letter.queue,
        "deliveries": letter.deliveries,
        "died_at": letter.died_at,
        "size": letter.size,
        "task": letter.task,
        "retries": letter.retries,
        "can_be_requeued": letter.can_be_requeued,
    }


def _requeue(letters: "DeadLetters", letter: "DeadLetter") -> str:
    if not letter.can_be_requeued:
        return "kept"
    return "requeued" if letters.requeue(letter) else "gone"


def _decide(chosen: "Iterable[DeadLetter]", act: "Callable[[DeadLetter], str]") -> Counter[str]:
    """Act on each entry, print at once what came of it, and count."""
    results: Counter[str] = Counter()
    for letter in chosen:
        result = act(letter)
        results[result] += 1
        print_line({"id": letter.delivery_id, "handle": letter.handle, "result": result})
    return results


def _end(results: Counter[str], choice: Choice) -> NoReturn:
    """Sum up, and exit with the code of the worst that came of it."""
    results += choice.problems
    told = [f"{count} {_IN_WORDS[result]}" for result, count in results.items()]
    click.echo(f"postroom: {', '.join(told) or 'there is no such dead letter'}", err=True)
    if results["kept"] or results["ambiguous"]:
        raise SystemExit(ExitCode.BAD_INPUT)
    # Who wants all of them gone does not mind who has done it.
    if results["not_found"] or (results["gone"] and not choice.is_all):
        raise SystemExit(ExitCode.NOT_FOUND)
    raise SystemExit(ExitCode.OK)
