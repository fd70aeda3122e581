"""The examination: all checks, side by side, and their findings in one list, the worst last.

Owns which checks are made of which part of the settings. Each check has time limits of its own; together they take as long
as the slowest, which is some ten seconds at the worst.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version

from postroom.doctor.ground import Ground, Side, survey
from postroom.doctor.worker_side import Wishes, check_mail_servers
from postroom_broker.checkup.server import check_server
from postroom_broker.checkup.traffic import Here, check_traffic
from postroom_contract.errors import BrokerUnavailable
from postroom_contract.finding import Finding
from postroom_contract.finding_codes import FindingCode


def examine(
    side: Side | None, session: str | None, wishes: Wishes, variables: Mapping[str, str] | None = None
) -> list[Finding]:
    """Check all there is to check.

    Args:
        side: whose settings the environment holds; None guesses.
        session: the one session to look at; None for all of them.
        wishes: about the sender.
        variables: the environment.
    """
    ground = survey(side, session, variables)
    checks: list[Callable[[], list[Finding]]] = [lambda: check_mail_servers(ground, wishes)]
    if ground.urls is not None:
        broker_url, result_url = ground.urls
        checks.append(lambda: _check_broker(broker_url, ground))
        if result_url != broker_url:
            checks.append(lambda: check_server(result_url, is_broker=False))
    with ThreadPoolExecutor(len(checks)) as threads:
        found = [check.result() for check in [threads.submit(check) for check in checks]]
    findings = [*ground.findings, *(finding for each in reversed(found) for finding in each)]
    return sorted(findings, key=lambda finding: finding.severity.rank)


def _check_broker(url: str, ground: Ground) -> list[Finding]:
    """The server, and what moves through it if it is there."""
    findings = check_server(url)
    if {FindingCode.REDIS_AWAY, FindingCode.REDIS_REFUSES} & {finding.code for finding in findings}:
        return findings
    here = Here(
        version("postroom"),
        ground.keyring,
        ground.password_keyring,
        has_schedule=ground.has_schedule,
        has_webhook=ground.has_webhook,
    )
    try:
        return [*findings, *check_traffic(url, here)]
    except BrokerUnavailable as away:
        return [*findings, Finding(FindingCode.REDIS_AWAY, "", {"detail": str(away.facts.get("detail"))})]
