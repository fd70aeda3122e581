"""The table of reasons: whole, stable, and told alike everywhere."""

from pathlib import Path

import pytest

from postroom_broker.death_reasons import EXPLANATIONS, DeathReason, explain

COMMANDS = (Path(__file__).parents[2] / "docs" / "commands.md").read_text(encoding="utf-8")


def test_the_words_are_the_released_ones() -> None:
    """They stand in Redis beside messages that may lie there for months."""
    assert {"too_many_deliveries", "unreadable", "rejected"} <= {reason.value for reason in DeathReason}


def test_every_reason_is_explained() -> None:
    """None is without its sentences, and no sentences are without a reason."""
    assert set(EXPLANATIONS) == set(DeathReason)
    assert all(explain(reason.value) is EXPLANATIONS[reason] for reason in DeathReason)


@pytest.mark.parametrize("word", [None, "", "something_newer"])
def test_a_word_of_another_version_is_told_as_such(word: str | None) -> None:
    """An entry that a newer worker has made can be shown."""
    assert "does not know" in explain(word).what


@pytest.mark.parametrize("reason", DeathReason)
def test_the_documentation_has_the_same_sentences(reason: DeathReason) -> None:
    """docs/commands.md lists each reason with what happened and what to do."""
    told = EXPLANATIONS[reason]

    assert f"| `{reason}` | {told.what} | {told.advice} |" in COMMANDS
