"""The worker's own command line."""

from __future__ import annotations

from click.testing import CliRunner

from postroom_worker.__main__ import main


def test_help_says_what_it_does_and_how_to_stop_it() -> None:
    """The few options an operator turns are listed with their defaults."""
    said = CliRunner().invoke(main, ["--help"])

    assert said.exit_code == 0
    for word in ("--concurrency", "--loglevel", "--name", "SIGTERM"):
        assert word in said.output


def test_a_wrong_option_is_one_clear_line() -> None:
    """Click's own words, and exit code 2."""
    said = CliRunner().invoke(main, ["-c", "none"])

    assert said.exit_code == 2
    assert "none" in said.output
