"""What Flower is given before it reads its options: safe ones, which the operator's own come after."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from postroom_contract.errors import SettingsException
from postroom_worker.flower import guard

COMMAND = ["celery", "-A", "postroom_worker", "flower"]


def guarded(*options: str, **variables: str) -> dict[str, str]:
    """The variables that Flower finds."""
    environ = dict(variables)
    guard([*COMMAND, *options], environ)
    return environ


def test_by_itself_it_is_safe(capsys: pytest.CaptureFixture[str]) -> None:
    """This machine only, nothing to press, and a password that is told once to whoever started it."""
    found = guarded()

    assert found["FLOWER_ADDRESS"] == "127.0.0.1"
    assert found["FLOWER_READ_ONLY"] == "true"
    password = re.fullmatch(r"postroom:([\w-]{16})", found["FLOWER_BASIC_AUTH"])
    assert password is not None
    assert f"log in as postroom with the password {password[1]} (" in capsys.readouterr().err
    assert guarded()["FLOWER_BASIC_AUTH"] != found["FLOWER_BASIC_AUTH"]


def test_credentials_may_be_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By variable or by file; then nothing is printed, and other machines may look."""
    (tmp_path / "auth").write_text("ann:s3cret:x\n", encoding="utf-8")
    by_file = guarded("--address=0.0.0.0", POSTROOM_FLOWER_AUTH_FILE=str(tmp_path / "auth"))

    assert by_file["FLOWER_BASIC_AUTH"] == "ann:s3cret:x"
    assert guarded(POSTROOM_FLOWER_AUTH="ann:s3cret")["FLOWER_BASIC_AUTH"] == "ann:s3cret"
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("options", "variables"),
    [
        (["--basic_auth=ann:x"], {}),
        (["--basic-auth=ann:x"], {}),
        (["--auth=.*@example.com"], {}),
        ([], {"FLOWER_BASIC_AUTH": "ann:x"}),
        ([], {"FLOWER_AUTH": ".*@example.com"}),
    ],
)
def test_flowers_own_ways_to_log_in_are_left_alone(options: list[str], variables: dict[str, str]) -> None:
    """Who has set one up already needs no second one."""
    assert guarded("--address=0.0.0.0", *options, **variables).get("FLOWER_BASIC_AUTH") == variables.get(
        "FLOWER_BASIC_AUTH"
    )


@pytest.mark.parametrize("variables", [{"FLOWER_READ_ONLY": "false"}, {"FLOWER_ADDRESS": "10.0.0.1"}])
def test_flowers_own_options_win(variables: dict[str, str]) -> None:
    """They are the operator's."""
    found = guarded("--basic_auth=ann:x", **variables)

    assert variables.items() <= found.items()


@pytest.mark.parametrize(
    ("options", "variables"),
    [(["--address=0.0.0.0"], {}), ([], {"FLOWER_ADDRESS": "10.0.0.1"}), (["--address="], {})],
)
def test_it_does_not_show_to_other_machines_before_somebody_says_to_whom(
    options: list[str], variables: dict[str, str]
) -> None:
    """A password that stands in a log would be none."""
    with pytest.raises(SettingsException, match="set POSTROOM_FLOWER_AUTH"):
        guarded(*options, **variables)


@pytest.mark.parametrize(
    "options", [["--address=localhost"], ["--address=::1"], ["--address=x", "--unix_socket=/run/f"]]
)
def test_this_machine_is_called_by_many_names(options: list[str]) -> None:
    """Each of them will do."""
    assert guarded(*options)["FLOWER_BASIC_AUTH"]


@pytest.mark.parametrize(
    ("auth", "complaint"),
    [("ann", "user:password"), (":x", "user:password"), ("ann:", "user:password"), ("a:b,c", "comma")],
)
def test_malformed_credentials_are_refused_and_not_repeated(auth: str, complaint: str) -> None:
    """A slip must not open Flower, nor show in a log."""
    with pytest.raises(SettingsException, match=complaint) as caught:
        guarded(POSTROOM_FLOWER_AUTH=auth)

    assert f" {auth}" not in str(caught.value)


def test_other_commands_get_nothing() -> None:
    """A worker and a beat have no use for it."""
    environ: dict[str, str] = {}
    guard(["celery", "-A", "postroom_worker", "worker"], environ)

    assert environ == {}
