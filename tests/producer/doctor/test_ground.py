"""What the doctor reads of this side's settings: each mistake by itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from postroom.doctor.ground import survey
from postroom_contract.sealing import generate_key

SEAL, LOCK = generate_key("seal"), generate_key("lock")


def troubles(*, side: str | None = None, session: str | None = None, **variables: str) -> list[str]:
    """The codes of what is not in order, less the sessions file that is not there."""
    found = survey(side, session, variables).findings  # type: ignore[arg-type]
    return [finding.code for finding in found if finding.severity != "ok" and finding.code != "sessions_none"]


def test_side_is_guessed_by_the_password_keys() -> None:
    """Unless somebody says it."""
    assert survey(None, None, {"POSTROOM_PASSWORD_KEYS": LOCK}).side == "worker"
    assert survey(None, None, {}).side == "producer"
    assert survey("producer", None, {"POSTROOM_PASSWORD_KEYS": LOCK}).side == "producer"


def test_every_mistake_is_found_at_once() -> None:
    """One does not hide the others."""
    wrong = {"POSTROOM_BROKER_URL": "http://x", "POSTROOM_PASSWORD_KEYS": "x", "POSTROOM_SESSIONS_FILE": "nowhere"}

    assert troubles(**wrong) == ["settings_wrong", "keys_missing", "settings_wrong", "sessions_file_wrong"]


def test_a_name_that_nobody_reads_is_found() -> None:
    """A slip leaves the default in force, without a word from anybody else."""
    assert troubles(POSTROOM_KEYS=SEAL, POSTROOM_RESULTS_URL="redis://x") == ["setting_unread"]


def test_rings_from_files(tmp_path: Path) -> None:
    """As containers have them; the same key in both is found."""
    (tmp_path / "keys").write_text(f"{SEAL}\n", encoding="utf-8")
    files = {"POSTROOM_KEYS_FILE": str(tmp_path / "keys"), "POSTROOM_PASSWORD_KEYS_FILE": str(tmp_path / "keys")}

    assert troubles(**files) == ["keys_shared"]
    assert troubles(POSTROOM_KEYS_FILE=str(tmp_path / "none")) == ["settings_wrong"]


def test_same_key_under_another_name_is_shared_too() -> None:
    """The id says nothing of the key."""
    assert troubles(POSTROOM_KEYS=SEAL, POSTROOM_PASSWORD_KEYS=SEAL.replace("seal", "lock")) == ["keys_shared"]
    assert troubles(POSTROOM_KEYS=SEAL, POSTROOM_PASSWORD_KEYS=LOCK) == []


@pytest.mark.parametrize(("name", "expected"), [("shop", []), ("warehouse", ["session_unknown"])])
def test_session_by_name(tmp_path: Path, name: str, expected: list[str]) -> None:
    """The known ones are told."""
    path = tmp_path / "sessions.toml"
    path.write_text('[sessions.shop]\nhost = "mail.example"\nport = 25\nanonymous = true\n', encoding="utf-8")
    variables = {"POSTROOM_KEYS": SEAL, "POSTROOM_SESSIONS_FILE": str(path)}
    ground = survey(None, name, variables)

    assert [finding.code for finding in ground.findings if finding.severity != "ok"] == expected
    assert set(ground.sessions) == ({"shop"} if not expected else set())


def test_no_key_and_no_url_is_shown() -> None:
    """Neither in a finding nor in a repr."""
    secret = SEAL.partition(":")[2]
    ground = survey(None, None, {"POSTROOM_KEYS": SEAL, "POSTROOM_BROKER_URL": "redis://:canary@127.0.0.1/0"})

    assert secret not in repr(ground)
    assert "canary" not in repr(ground)
