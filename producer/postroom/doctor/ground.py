"""What the doctor stands on: this side's settings, read one by one, so that one mistake does not hide the others.

Owns the checks of key rings and of the sessions file. Nothing here is connected to; keys are compared by their digests and
never shown.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from postroom.settings import read_on_outcome, read_sessions
from postroom_broker.connection import read_urls
from postroom_broker.presence import digests_of
from postroom_contract.destination import Webhook, read_destination
from postroom_contract.environment import Environment
from postroom_contract.finding import Finding
from postroom_contract.finding_codes import FindingCode
from postroom_contract.sealing import Keyring
from postroom_contract.session import BasicEmailSessionDetails
from postroom_contract.setting_names import slips

Side = Literal["producer", "worker"]

T = TypeVar("T")


@dataclass(slots=True)
class Ground:
    """What could be read, and what was found on the way. None where it could not be read."""

    side: Side
    urls: tuple[str, str] | None = field(default=None, repr=False)
    keyring: Keyring | None = None
    password_keyring: Keyring | None = None
    sessions: Mapping[str, BasicEmailSessionDetails] = field(default_factory=dict)
    has_schedule: bool = False
    # Whether ends are told to a webhook, unless a program says otherwise.
    has_webhook: bool = False
    findings: list[Finding] = field(default_factory=list)


def survey(side: Side | None, session: str | None, variables: Mapping[str, str] | None = None) -> Ground:
    """Read the settings of this side.

    Args:
        side: whose settings these are; None guesses: who has password keys is a worker.
        session: the one session to look at; None for all of them.
        variables: the environment.
    """
    has_password_keys = _is_set("POSTROOM_PASSWORD_KEYS", variables)
    ground = Ground(side or ("worker" if has_password_keys else "producer"))

    def read(reader: Callable[[Environment], T], wrong: FindingCode = FindingCode.SETTINGS_WRONG) -> T | None:
        environment = Environment(variables)
        value = reader(environment)
        ground.findings += [Finding(wrong, "", {"detail": told.rstrip(".")}) for told in environment.mistakes]
        return None if environment.mistakes else value

    for name, meant in slips(os.environ if variables is None else variables):
        ground.findings.append(Finding(FindingCode.SETTING_UNREAD, name, {"meant": meant}))
    ground.urls = read(read_urls)
    if _is_set("POSTROOM_KEYS", variables):
        ground.keyring = read(lambda environment: environment.keyring("POSTROOM_KEYS"))
    else:
        ground.findings.append(Finding(FindingCode.KEYS_MISSING))
    if has_password_keys:
        ground.password_keyring = read(lambda environment: environment.keyring("POSTROOM_PASSWORD_KEYS"))
    ground.has_webhook = bool(read(_names_webhook))
    ground.has_schedule = _is_set("POSTROOM_SCHEDULE_FILE", variables)
    ground.findings += _judge_rings(ground, has_password_keys=has_password_keys)
    sessions = read(read_sessions, FindingCode.SESSIONS_FILE_WRONG)
    if sessions is not None:
        ground.sessions, found = _choose(sessions, session)
        ground.findings += found
    if ground.has_schedule:
        from postroom.beat.schedule_file import read_schedule  # noqa: PLC0415 -- it brings in Celery

        read(lambda environment: read_schedule(environment, sessions or {}), FindingCode.SCHEDULE_FILE_WRONG)
    return ground


def _names_webhook(environment: Environment) -> bool:
    on_outcome = read_on_outcome(environment)
    return on_outcome is not None and isinstance(read_destination(on_outcome), Webhook)


def _judge_rings(ground: Ground, *, has_password_keys: bool) -> list[Finding]:
    findings = []
    if ground.keyring is not None:
        told: dict[str, str | int] = {"count": len(ground.keyring.ids), "first": ground.keyring.first_id}
        findings.append(Finding(FindingCode.KEYS_READ, "", told))
    if ground.side == "worker" and not has_password_keys:
        findings.append(Finding(FindingCode.PASSWORD_KEYS_MISSING))
    if ground.side == "producer" and has_password_keys:
        findings.append(Finding(FindingCode.PASSWORD_KEYS_HERE))
    rings = ground.keyring, ground.password_keyring
    digests = [set(digests_of(ring)) for ring in rings if ring is not None]
    if len(digests) == len(rings) and set.intersection(*digests):
        findings.append(Finding(FindingCode.KEYS_SHARED))
    return findings


def _choose(
    sessions: Mapping[str, BasicEmailSessionDetails], name: str | None
) -> tuple[Mapping[str, BasicEmailSessionDetails], list[Finding]]:
    if name is None:
        return sessions, [] if sessions else [Finding(FindingCode.SESSIONS_NONE)]
    if name in sessions:
        return {name: sessions[name]}, []
    known = ", ".join(sorted(sessions)) or "none: POSTROOM_SESSIONS_FILE is not set"
    return {}, [Finding(FindingCode.SESSION_UNKNOWN, name, {"known": known})]


def _is_set(name: str, variables: Mapping[str, str] | None) -> bool:
    environment = Environment(variables)
    return bool(environment.text(name) or environment.mistakes)
