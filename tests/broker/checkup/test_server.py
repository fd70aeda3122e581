"""The check of a Redis server: what stands in its answers, on each kind of server. `tests/integration/test_doctor` breaks it."""

from __future__ import annotations

import time

import pytest

from postroom.testing import free_port
from postroom_broker.checkup import server
from postroom_broker.checkup.server import check_server
from postroom_contract.finding import Finding
from postroom_contract.finding_codes import FindingCode, Severity
from tests.support.valkey import connect


def codes(findings: list[Finding]) -> set[FindingCode]:
    """What was found."""
    return {finding.code for finding in findings}


def test_each_kind_of_server_is_understood(each_redis_url: str) -> None:
    """A server that keeps nothing on disk, and is right otherwise."""
    found = check_server(each_redis_url)

    assert {finding.code for finding in found if finding.severity is not Severity.OK} == {FindingCode.REDIS_FORGETS}
    assert codes(found) >= {FindingCode.REDIS_ANSWERS, FindingCode.REDIS_HAS_ROOM, FindingCode.CLOCK_RIGHT}


@pytest.mark.parametrize("skew_s", [-60, 60])
def test_clock_that_is_wrong(redis_url: str, skew_s: int) -> None:
    """Fast or slow by a minute."""
    found = check_server(redis_url, clock=lambda: time.time() + skew_s)
    (told,) = [finding for finding in found if finding.code is FindingCode.CLOCK_WRONG]

    assert told.facts["seconds"] == pytest.approx(60, abs=1)


def test_server_that_is_too_old(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A version below what the scripts are tested on; none so old can be had, so the limit is moved."""
    monkeypatch.setattr(server, "LEAST_VERSION", (99, 0))

    assert FindingCode.REDIS_OLD in codes(check_server(redis_url))


def test_server_of_outcomes_only_has_to_answer(redis_url: str) -> None:
    """What it keeps and for how long is not this check's business."""
    assert codes(check_server(redis_url, is_broker=False)) == {FindingCode.REDIS_ANSWERS}


def test_server_that_hides_its_settings(redis_url: str) -> None:
    """Managed servers refuse CONFIG; that is told and is no error."""
    with connect(redis_url) as client:
        client.execute_command("ACL", "SETUSER", "guest", "on", ">pass", "~*", "+@all", "-config")
        try:
            found = check_server(redis_url.replace("//", "//guest:pass@"))
        finally:
            client.execute_command("ACL", "DELUSER", "guest")

    assert FindingCode.REDIS_HIDES in codes(found)
    assert FindingCode.REDIS_FORGETS not in codes(found)


def test_server_that_is_away_is_named_without_its_password() -> None:
    """The URL is told, and what is secret in it is not."""
    (finding,) = check_server(f"redis://:canary@127.0.0.1:{free_port()}/0")

    assert finding.code is FindingCode.REDIS_AWAY
    assert "canary" not in str(finding.as_dict())
