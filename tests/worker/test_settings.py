"""The worker's settings: defaults, ranges, and every mistake at once."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from postroom_contract.environment import Environment
from postroom_contract.errors import SettingsException
from postroom_contract.sealing import generate_key
from postroom_worker.settings import WorkerSettings, read_log_format

KEYS = {"POSTROOM_KEYS": generate_key("a"), "POSTROOM_PASSWORD_KEYS": generate_key("b")}


def test_two_key_rings_are_all_that_must_be_set() -> None:
    """Everything else has a default."""
    settings = WorkerSettings.from_env(KEYS)

    assert settings.broker_url == settings.result_url == "redis://127.0.0.1:6379/0"
    assert (settings.keyring.ids, settings.password_keyring.ids) == (("a",), ("b",))
    assert settings.attachment_roots == ()
    assert settings.most_connections == 3


def test_results_follow_the_broker_unless_they_have_a_server_of_their_own() -> None:
    """POSTROOM_RESULT_URL wins where it is set."""
    moved = KEYS | {"POSTROOM_BROKER_URL": "redis://one/1"}

    assert WorkerSettings.from_env(moved).result_url == "redis://one/1"
    assert WorkerSettings.from_env(moved | {"POSTROOM_RESULT_URL": "redis://two/2"}).result_url == "redis://two/2"


def test_roots_are_folders_between_path_separators(tmp_path: Path) -> None:
    """Several roots are allowed; each must be there."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    settings = WorkerSettings.from_env(KEYS | {"POSTROOM_ATTACHMENT_ROOTS": f"{tmp_path}/one:{tmp_path}/two"})

    assert settings.attachment_roots == (tmp_path / "one", tmp_path / "two")


def test_every_mistake_is_told_at_once() -> None:
    """A wrong start names all that is wrong, and no key."""
    secret = "k:" + "x" * 20
    with pytest.raises(SettingsException) as caught:
        WorkerSettings.from_env(
            {
                "POSTROOM_KEYS": secret,
                "POSTROOM_CONCURRENCY": "many",
                "POSTROOM_DRAIN_S": "-1",
                "POSTROOM_ATTACHMENT_ROOTS": "relative",
                "POSTROOM_EHLO_NAME": "two words",
            }
        )

    text = str(caught.value)
    for name in (
        "POSTROOM_KEYS",
        "POSTROOM_PASSWORD_KEYS",
        "POSTROOM_CONCURRENCY",
        "POSTROOM_DRAIN_S",
        "POSTROOM_ATTACHMENT_ROOTS",
        "POSTROOM_EHLO_NAME",
    ):
        assert name in text
    assert "x" * 20 not in text


@pytest.mark.parametrize("name", ["POSTROOM_BROKER_URL", "POSTROOM_RESULT_URL"])
@pytest.mark.parametrize(("url", "told"), [("http://host/0", "not a Redis URL"), ("unix:///run/redis", "Unix socket")])
def test_a_server_that_celery_cannot_reach_is_refused(name: str, url: str, told: str) -> None:
    """It is told at the start, and not by a traceback from inside Celery."""
    with pytest.raises(SettingsException, match=told):
        WorkerSettings.from_env(KEYS | {name: url})


@pytest.mark.parametrize("number", ["0", "5001", "nan", "inf"])
def test_a_number_outside_its_range_is_refused(number: str) -> None:
    """Limits have bounds of their own."""
    with pytest.raises(SettingsException, match="POSTROOM_CONCURRENCY"):
        WorkerSettings.from_env(KEYS | {"POSTROOM_CONCURRENCY": number})


@pytest.mark.parametrize(
    ("told", "on_terminal", "expected"),
    [("", False, "json"), ("auto", True, "text"), ("text", False, "text"), ("json", True, "json")],
)
def test_a_terminal_gets_text_and_all_else_json_unless_told(
    told: str,
    on_terminal: bool,  # noqa: FBT001
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The setting wins."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: on_terminal, raising=False)

    assert read_log_format(Environment({"POSTROOM_LOG_FORMAT": told})) == expected


def test_another_word_is_a_mistake() -> None:
    """It is told with all others at the start."""
    environment = Environment({"POSTROOM_LOG_FORMAT": "yaml"})
    read_log_format(environment)

    assert environment.mistakes == ['POSTROOM_LOG_FORMAT is neither "json", "text" nor "auto"']
