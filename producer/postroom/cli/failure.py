"""How a command fails: one clear line on standard error, and the exit code that goes with it.

Owns the translation of every exception that leaves a command. What an error says is the error's own business; here is
added what a person at a terminal can do about it. The group in `postroom.cli` is made of `CommandGroup`.
"""

import errno
import traceback
import warnings
from typing import IO, Any

import click

from postroom.cli.output import ExitCode
from postroom_contract.error_codes import ErrorCode
from postroom_contract.errors import BrokerUnavailable, PostroomError, SealException, SettingsException


class CommandFailure(click.ClickException):
    """Ends the command with a line and an exit code; click shows it and exits."""

    def __init__(self, message: str, exit_code: ExitCode) -> None:
        super().__init__(message)
        self.exit_code = int(exit_code)  # type: ignore[misc]  # click reads it from the instance just as well

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the line as other programs do: name, colon, what is the matter."""
        click.echo(f"postroom: {self.message}", file=file, err=file is None)


def _show(message: Warning | str, *_: object, **__: object) -> None:
    """Print a warning as a person at a terminal reads it: without the line of our code that gives it."""
    click.echo(f"postroom: {message}", err=True)


class CommandGroup(click.Group):
    """A group of commands whose errors become lines and exit codes, and whose warnings become lines."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was asked for."""
        warnings.showwarning = _show
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit):
            raise
        except (KeyboardInterrupt, click.Abort):
            click.echo(err=True)
            raise click.exceptions.Exit(ExitCode.INTERRUPTED) from None
        except PostroomError as error:
            if error.code is ErrorCode.INTERNAL:
                raise _our_mistake(error, is_debug=ctx.params["debug"]) from error
            raise CommandFailure(explain(error), exit_code_for(error)) from error
        except Exception as bug:
            if isinstance(bug, OSError) and bug.errno == errno.EPIPE:
                raise  # whoever read our output has gone; click ends quietly
            raise _our_mistake(bug, is_debug=ctx.params["debug"]) from bug


def exit_code_for(error: PostroomError) -> ExitCode:
    """The exit code that tells a script which kind of error it was."""
    match error:
        case BrokerUnavailable():
            return ExitCode.BROKER_UNAVAILABLE
        case SettingsException() | SealException():
            return ExitCode.BAD_SETTINGS
        case _:
            return ExitCode.BAD_INPUT


def explain(error: PostroomError) -> str:
    """An error as one line, with what to do about it; only wrong settings take a line each."""
    mistakes = [mistake["message"] for mistake in error.mistakes]
    match error:
        case SettingsException():
            return (
                "\n- ".join(["the settings are wrong:", *mistakes]) if len(mistakes) > 1 else str(error.facts["detail"])
            )
        case SealException() if error.reason != "unknown_key":  # of which the message says it already
            return f"{error.message} Is POSTROOM_KEYS the same ring here, in the worker and where the message was sent?"
        case BrokerUnavailable():
            return f"{error.message}{_what_is_known(error)} Start Redis, or set POSTROOM_BROKER_URL."
        case _:
            return " ".join(mistakes) if mistakes else error.message


def _what_is_known(error: BrokerUnavailable) -> str:
    if error.maybe_enqueued:
        seen = f"`postroom status {error.receipt_id}`"
        again = f'send it again with "ReceiptId": "{error.receipt_id}", which cannot double it'
        return f" The message may be queued all the same: look with {seen}, or {again}."
    return " Nothing was queued." if error.receipt_id else ""


def _our_mistake(bug: BaseException, *, is_debug: bool) -> CommandFailure:
    # The text of a foreign exception may quote the message, so only its name is shown unasked.
    if is_debug:
        click.echo("".join(traceback.format_exception(bug)), err=True, nl=False)
    again = "" if is_debug else " Please report it, with what `postroom --debug ...` prints."
    return CommandFailure(f"a mistake of Postroom's own ({type(bug).__name__}).{again}", ExitCode.OUR_OWN_BUG)
