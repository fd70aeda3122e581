"""How commands fail: every exception becomes a line and an exit code, and never a traceback unasked."""

import errno
import os
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner, Result

from postroom.cli.failure import CommandGroup
from postroom.cli.output import ExitCode
from postroom_contract.error_codes import ErrorCode
from postroom_contract.errors import (
    BrokerUnavailable,
    PostroomError,
    PropertyEmptyException,
    SealException,
    SettingsException,
)
from postroom_contract.sealing import generate_key

# No Redis is there: the port is reserved (RFC 1078's tcpmux).
NOWHERE = "redis://127.0.0.1:1/0"


def run(error: BaseException, *options: str) -> Result:
    """Run a group of our kind whose one command raises this."""

    @click.group(cls=CommandGroup)
    @click.option("--debug", is_flag=True)
    def group(*, debug: bool) -> None: ...

    @group.command()
    def fail() -> None:
        raise error

    return CliRunner().invoke(group, [*options, "fail"])


@pytest.mark.parametrize(
    ("error", "exit_code"),
    [
        (PropertyEmptyException(None, {"property": "To"}), 65),
        (BrokerUnavailable(None, {"url": "redis://here"}), 69),
        (PostroomError(ErrorCode.INTERNAL), 70),
        (ZeroDivisionError("secret"), 70),
        (SettingsException(None, {"detail": "X is not set"}), 78),
        (SealException(None, {"reason": "unknown_key"}), 78),
        (KeyboardInterrupt(), 130),
        (click.Abort(), 130),
        (click.UsageError("no"), 2),
    ],
    ids=repr,
)
def test_each_kind_of_error_has_its_exit_code(error: BaseException, exit_code: int) -> None:
    """And nothing is printed where the JSON belongs."""
    done = run(error)

    assert (done.exit_code, done.stdout) == (exit_code, "")
    assert "Traceback" not in done.stderr


def test_our_own_mistake_is_one_line_that_quotes_nothing() -> None:
    """The text of a foreign exception may hold a part of the message."""
    done = run(ZeroDivisionError("secret"))

    assert len(done.stderr.splitlines()) == 1
    assert "ZeroDivisionError" in done.stderr
    assert "--debug" in done.stderr
    assert "secret" not in done.stderr


def test_debug_shows_where_it_happened() -> None:
    """Asked for, the traceback comes before the line."""
    done = run(ZeroDivisionError("what"), "--debug")

    assert done.exit_code == 70
    assert "Traceback" in done.stderr
    assert "ZeroDivisionError: what" in done.stderr


def test_message_that_may_be_queued_is_told_with_its_id() -> None:
    """Whoever sends again at once may send twice, and the line says how not to."""
    done = run(BrokerUnavailable(None, {"maybe_enqueued": True, "receipt_id": "the-id"}))

    assert "`postroom status the-id`" in done.stderr
    assert '"ReceiptId": "the-id", which cannot double it' in done.stderr


def test_several_wrong_settings_take_a_line_each() -> None:
    """A list is easier to work off than a sentence."""
    facts = {"detail": "A is not set", "mistakes": [{"message": "A is not set"}, {"message": "B is not a number"}]}
    done = run(SettingsException(None, facts))

    assert done.stderr == "postroom: the settings are wrong:\n- A is not set\n- B is not a number\n"


def test_reader_that_has_gone_is_no_mistake_of_ours() -> None:
    """`postroom status ... | head -0` ends without a complaint."""
    done = run(BrokenPipeError(errno.EPIPE, "Broken pipe"))

    assert (done.exit_code, done.stderr) == (1, "")


def test_a_misspelt_setting_is_a_line_and_stops_nothing() -> None:
    """Told without the place in our code that tells it, and the command goes on."""
    known = {"PATH": os.environ["PATH"], "POSTROOM_KEYS": generate_key(), "POSTROOM_BROKER_URL": NOWHERE}
    command = [sys.executable, "-m", "postroom", "status", "none"]
    done = subprocess.run(
        command, env={**known, "POSTROOM_CONCURENCY": "5"}, capture_output=True, text=True, check=False, timeout=30
    )

    assert done.returncode == ExitCode.BROKER_UNAVAILABLE
    first, second = done.stderr.splitlines()
    assert first == "postroom: POSTROOM_CONCURENCY is no setting; POSTROOM_CONCURRENCY may be meant"
    assert "not available" in second
