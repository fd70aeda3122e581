"""The news of an end: three public facts, and an id by which a repetition is recognised."""

from __future__ import annotations

import uuid

import pytest

from postroom_contract.news import News
from postroom_contract.outcome import State

ID = "0f8fad5b-d9cb-469f-a165-70867728950e"


def test_it_is_told_as_json_and_read_again() -> None:
    """With nothing else in it."""
    news = News(ID, State.FAILED, 1301)

    assert news.as_dict() == {"id": ID, "state": "failed", "code": 1301}
    assert News.from_json(f'{{"id": "{ID}", "state": "failed", "code": 1301}}') == news
    assert News.read(*news.arguments) == news


def test_the_id_is_the_same_each_time() -> None:
    """Hosts have seen these ids: they may not change."""
    assert (
        News(ID, State.SENT).task_id == News(ID, State.FAILED, 1301).task_id == "fd126b3a-5d13-5645-aa88-b64c09f3491d"
    )
    assert uuid.UUID(News(ID, State.SENT).task_id).version == 5


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        f'{{"id": "{ID}", "state": "queued", "code": null}}',
        f'{{"id": "{ID.upper()}", "state": "sent", "code": null}}',
        '{"id": "../x", "state": "sent", "code": null}',
        f'{{"id": "{ID}", "state": "sent", "code": "x"}}',
        f'{{"id": "{ID}", "state": "sent", "code": true}}',
    ],
)
def test_what_is_none_is_refused(text: str) -> None:
    """Others may write into a queue, or call a URL."""
    with pytest.raises(ValueError):  # noqa: PT011 -- JSON's own among them
        News.from_json(text)
