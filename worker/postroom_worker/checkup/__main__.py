"""The process that `postroom doctor` starts to look at mail servers: `python -m postroom_worker.checkup`.

Owns what it is asked (one JSON object on standard input: sessions with their passwords still encrypted), and what it
answers (one finding a line, each as soon as it is known). It needs POSTROOM_PASSWORD_KEYS to log in, and no Redis.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import sys
from typing import Any

from postroom_contract.environment import Environment
from postroom_contract.errors import SettingsException
from postroom_contract.finding import Finding
from postroom_contract.finding_codes import FindingCode
from postroom_contract.session import BasicEmailSessionDetails
from postroom_worker.checkup.mail_server import Visit, check_mail_server, sender_of
from postroom_worker.settings import WorkerSettings, read_ehlo_name
from postroom_worker.smtp.local_name import machine_name

# All of one session, whatever happens; the doctor itself waits a little longer.
MOST_S = 8.5
# Sessions looked at at the same time: no more than a worker would have open.
MOST_AT_ONCE = 20

# The variables of both sides, which the producer reads too.
SEEN_BY_THE_DOCTOR = ("POSTROOM_KEYS", "POSTROOM_PASSWORD_KEYS", "POSTROOM_BROKER_URL", "POSTROOM_RESULT_URL")


async def examine(asked: dict[str, Any], environment: Environment) -> None:
    """Check all that was asked for, and print what is found."""
    if asked["is_worker"]:
        tell(check_settings())
    ring = environment.keyring("POSTROOM_PASSWORD_KEYS")
    local_name = read_ehlo_name(environment) or machine_name()
    visits = [
        Visit(name, BasicEmailSessionDetails.accept(details), ring, asked["sender"], local_name)
        for name, details in asked["sessions"].items()
    ]
    turn = asyncio.Semaphore(MOST_AT_ONCE)
    domains = {sender.rpartition("@")[2] for visit in visits if (sender := sender_of(visit)) is not None}
    checks = [_check_server(visit, turn) for visit in visits]
    # An address literal has no records.
    checks += [_check_domain(domain, asked) for domain in sorted(domains) if not domain.startswith("[")]
    await asyncio.gather(*checks)


def check_settings() -> list[Finding]:
    """What would stop a worker from starting here, less what the doctor has seen by itself."""
    try:
        WorkerSettings.from_env()
    except SettingsException as wrong:
        told = [str(mistake["message"]) for mistake in wrong.mistakes]
        details = [detail.rstrip(".") for detail in told if not detail.startswith(SEEN_BY_THE_DOCTOR)]
        return [Finding(FindingCode.SETTINGS_WRONG, "", {"detail": detail}) for detail in details]
    return []


async def _check_server(visit: Visit, turn: asyncio.Semaphore) -> None:
    async with turn:
        try:
            async with asyncio.timeout(MOST_S):
                await check_mail_server(visit, lambda finding: tell([finding]))
        except TimeoutError:
            tell([Finding(FindingCode.SERVER_SLOW, visit.name, {"seconds": MOST_S})])


async def _check_domain(domain: str, asked: dict[str, Any]) -> None:
    if importlib.util.find_spec("dns") is None:
        tell([Finding(FindingCode.RECORDS_UNCHECKED, domain)])
        return
    # Whoever has only aiosmtplib can still have mail servers checked.
    from postroom_worker.checkup.records import check_records  # noqa: PLC0415

    resolver = asked["resolver"] and tuple(asked["resolver"])
    tell(await check_records(domain, asked["selectors"], resolver))


def tell(findings: list[Finding]) -> None:
    """Print findings at once: whoever waits may lose patience with the rest."""
    for finding in findings:
        sys.stdout.write(json.dumps(finding.as_dict()) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Read what is asked, and answer."""
    asyncio.run(_examine_and_leave(json.load(sys.stdin)))


async def _examine_and_leave(asked: dict[str, Any]) -> None:
    await examine(asked, Environment())
    # The system's resolver cannot be interrupted, and Python would wait for its thread.
    os._exit(0)


if __name__ == "__main__":
    main()
