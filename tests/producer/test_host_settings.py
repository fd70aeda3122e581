"""What a host application configures wins over the environment, twin and all."""

import pytest

from postroom.host_settings import VARIABLES, over_environment
from postroom.settings import ProducerSettings
from postroom_contract.sealing import generate_key


def test_only_what_is_postrooms_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other settings of the host, and those that are None, change nothing."""
    monkeypatch.setenv("POSTROOM_KEYS", "from the environment")
    merged = over_environment({"SECRET_KEY": "x", "POSTROOM_KEYS": None, "POSTROOM_BROKER_URL": "redis://h:1/0"})

    assert merged["POSTROOM_KEYS"] == "from the environment"
    assert merged["POSTROOM_BROKER_URL"] == "redis://h:1/0"
    assert "SECRET_KEY" not in merged


@pytest.mark.parametrize(
    ("environment", "configured"),
    [("POSTROOM_KEYS_FILE", "POSTROOM_KEYS"), ("POSTROOM_KEYS", "POSTROOM_KEYS_FILE")],
)
def test_a_setting_replaces_its_twin(monkeypatch: pytest.MonkeyPatch, environment: str, configured: str) -> None:
    """A ring in the host's settings and a file in the environment are no contradiction: the host's counts."""
    monkeypatch.setenv(environment, "old")
    merged = over_environment({configured: "new"})

    assert merged[configured] == "new"
    assert environment not in merged


def test_a_sessions_file_is_no_twin(monkeypatch: pytest.MonkeyPatch) -> None:
    """POSTROOM_SESSIONS_FILE is a setting of its own; a path object will do."""
    monkeypatch.setenv("POSTROOM_SESSIONS_FILE", "old")

    assert over_environment({"POSTROOM_SESSIONS_FILE": "new"})["POSTROOM_SESSIONS_FILE"] == "new"


def test_every_variable_of_a_producer_may_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `ProducerSettings` reads is in the list: a variable that is missing there would be ignored."""
    asked: set[str] = set()

    class Watched(dict[str, str]):
        def get(self, name: str, default: str = "") -> str:  # type: ignore[override]
            asked.add(name)
            return super().get(name, default)

    ProducerSettings.from_env(Watched(POSTROOM_KEYS=generate_key()))
    assert asked == VARIABLES
