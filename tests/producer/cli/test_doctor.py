"""`postroom doctor`: its output and its exit codes. `tests/integration/test_doctor` has the breakages."""

from __future__ import annotations

import json

import pytest

from postroom.cli.doctor import doctor, exit_code_for
from postroom_contract.finding import Finding
from postroom_contract.finding_codes import FindingCode
from tests.producer.cli.conftest import Command


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ([], 0),
        ([FindingCode.REDIS_KEEPS, FindingCode.NO_PIPELINING], 0),
        ([FindingCode.DEAD_LETTERS, FindingCode.NO_PIPELINING], 17),
        ([FindingCode.DEAD_LETTERS, FindingCode.WORKERS_NONE], 18),
        ([FindingCode.REDIS_AWAY, FindingCode.LOGIN_REFUSED], 69),
        ([FindingCode.REDIS_REFUSES, FindingCode.KEYS_MISSING], 78),
        ([FindingCode.SESSION_UNKNOWN], 78),
    ],
)
def test_exit_code_is_that_of_the_worst(codes: list[FindingCode], expected: int) -> None:
    """Settings first, then Redis, then errors and warnings."""
    assert exit_code_for([Finding(code) for code in codes]) == expected


def test_lines_for_people_and_json_for_programs(command: Command, redis_url: str) -> None:
    """The same findings both ways; here, that no worker is there."""
    settings = {"POSTROOM_BROKER_URL": redis_url, "POSTROOM_PASSWORD_KEYS": None}
    lines, told = command("doctor", **settings), command("doctor", "--json", **settings)

    assert lines.exit_code == told.exit_code == 18
    assert "error    workers_none" in lines.stdout
    found = [json.loads(line) for line in told.stdout.splitlines()]
    assert {"code", "severity", "about", "what", "advice", "facts"} == set(found[-1])
    assert found[-1]["code"] == "workers_none"


def test_missing_keys_are_a_finding_and_no_refusal(command: Command, away_url: str) -> None:
    """The doctor goes on where other commands stop."""
    done = command("doctor", POSTROOM_KEYS=None, POSTROOM_PASSWORD_KEYS=None, POSTROOM_BROKER_URL=away_url)

    assert done.exit_code == 78
    assert "keys_missing" in done.stdout
    assert "redis_away" in done.stdout


@pytest.mark.parametrize(
    "options",
    [("--side", "left"), ("--from", "nobody"), ("--resolver", "ns.example.com"), ("--resolver", "192.0.2.1:x")],
)
def test_wrong_option_is_wrong_usage(command: Command, options: tuple[str, str]) -> None:
    """It is refused before anything is asked."""
    assert command("doctor", *options).exit_code == 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("192.0.2.1", ("192.0.2.1", 53)),
        ("192.0.2.1:5353", ("192.0.2.1", 5353)),
        ("2001:db8::1", ("2001:db8::1", 53)),
        ("[2001:db8::1]:5353", ("2001:db8::1", 5353)),
    ],
)
def test_name_server_with_or_without_a_port(text: str, expected: tuple[str, int]) -> None:
    """As `--resolver` takes it."""
    assert doctor.make_context("doctor", ["--resolver", text]).params["resolver"] == expected
