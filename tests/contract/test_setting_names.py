"""The list of settings: the same everywhere, and slips in their names are told."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from postroom_contract.setting_names import SETTINGS, slips

ROOT = Path(__file__).parents[2]


def test_the_readme_has_the_same_settings() -> None:
    """The table of settings has a row for each, and no other."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")

    assert set(re.findall(r"^\| `(POSTROOM_[A-Z_]+)`\*? \|", readme, re.MULTILINE)) == SETTINGS


def test_each_is_read_and_nothing_else_is() -> None:
    """No side asks the environment for a name that the list does not have, and none is listed that nobody asks for."""
    sides = ("contract", "broker", "producer", "worker")
    modules = [module for side in sides for module in (ROOT / side).rglob("*.py") if module.name != "setting_names.py"]
    code = "".join(module.read_text(encoding="utf-8") for module in modules)
    asked = re.findall(r'(?:environment\.\w+|\bnumber|\bcount)\(\s*"(POSTROOM_[A-Z_]+)"', code)

    assert set(asked) <= SETTINGS
    assert [name for name in sorted(SETTINGS) if f'"{name}"' not in code] == []


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("POSTROOM_KEY", "POSTROOM_KEYS"),
        ("POSTROOM_CONCURENCY", "POSTROOM_CONCURRENCY"),
        ("POSTROOM_BROKER", "POSTROOM_BROKER_URL"),
        ("POSTROOM_KEYS_FILES", "POSTROOM_KEYS_FILE"),
        ("postroom_keys", "POSTROOM_KEYS"),
    ],
)
def test_a_slip_is_told_with_what_was_meant(name: str, meant: str) -> None:
    """One letter too few or too many, or small letters, and nobody would read the variable."""
    assert slips([name]) == [(name, meant)]


@pytest.mark.parametrize(
    "name",
    ["POSTROOM_KEYS", "POSTROOM_KEYS_FILE", "POSTROOM_SESSION", "POSTROOM_PORT", "POSTROOM_SERVICE_HOST", "HOME"],
)
def test_other_variables_are_left_alone(name: str) -> None:
    """Settings, those of frameworks, and what Kubernetes sets for a service called postroom are no slips."""
    assert slips([name]) == []
