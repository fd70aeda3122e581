"""What a host heard of ends, against what became of them, by table."""

from __future__ import annotations

import pytest

from tests.chaos.judge import Told
from tests.chaos.news import Word, hear

SENT = Told("sent")
WORD = Word("seven", "sent")


@pytest.mark.parametrize(
    ("told", "words", "untold", "contradictions", "repeated"),
    [
        ({7: SENT}, [WORD], 0, 0, 0),
        ({7: SENT}, [WORD, WORD], 0, 0, 1),
        ({7: SENT}, [], 1, 0, 0),
        ({7: SENT}, [Word("seven", "failed", 1301)], 0, 1, 0),
        ({7: Told("failed", code=1301)}, [Word("seven", "failed", 1302)], 0, 1, 0),
        ({7: SENT}, [WORD, Word("seven", "unknown", 1303)], 0, 1, 1),
        ({}, [WORD], 0, 1, 0),
        ({}, [], 0, 0, 0),
    ],
)
def test_what_was_heard(
    told: dict[int, Told], words: list[Word], untold: int, contradictions: int, repeated: int
) -> None:
    """Each way of being wrong, and what may be."""
    hearing = hear({7: "seven"}, told, words)

    assert (len(hearing.untold), len(hearing.contradictions), hearing.repeated) == (untold, contradictions, repeated)
    assert hearing.strange == 0


def test_who_asked_for_nothing_hears_nothing() -> None:
    """A call about another mail is told."""
    assert hear({7: "seven"}, {7: SENT}, [WORD, Word("eight", "sent")]).strange == 1
