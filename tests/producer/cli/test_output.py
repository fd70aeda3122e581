"""Exit codes and JSON lines: the promises that scripts rely on."""

import json

import pytest

from postroom.cli.output import EXIT_CODES, exit_code_of, print_line, story
from postroom_contract.outcome import Report, Sent, State


def test_every_state_has_an_exit_code() -> None:
    """A new state cannot be forgotten, and 0 means sent and nothing else."""
    assert set(EXIT_CODES) == set(State)
    assert [state for state, code in EXIT_CODES.items() if code == 0] == [State.SENT]


def test_story_has_the_shape_of_an_outcome() -> None:
    """Whether there is an outcome or not, the fields are the same, in the same order."""
    outcome = Sent("1", report=Report()).as_dict()

    assert list(story(State.QUEUED, "1")) == list(outcome)
    assert exit_code_of(outcome) == 0


def test_line_is_ascii_whatever_is_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    """A terminal without UTF-8 shows it, and it stays one line."""
    print_line({"address": "grüße@example.org", "text": "two\nlines"})
    printed = capsys.readouterr().out

    assert printed.isascii()
    assert printed.count("\n") == 1
    assert json.loads(printed) == {"address": "grüße@example.org", "text": "two\nlines"}
