"""What the programs of a development are told, of the environment of whoever starts it.

Owns the rule: Redis, keys and sessions are development's own, whatever that environment says, so that no mail leaves by a mistake;
all other settings go on to worker and beat, with relative paths meant from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from postroom.dev.place import Place
from postroom.settings import read_sessions
from postroom_contract.environment import Environment
from postroom_contract.setting_names import SETTINGS

SCHEDULE = "POSTROOM_SCHEDULE_FILE"
_OWN = (
    *("POSTROOM_BROKER_URL", "POSTROOM_RESULT_URL", "POSTROOM_KEYS", "POSTROOM_PASSWORD_KEYS"),
    # How it is watched and ended.
    *("POSTROOM_FLOWER_AUTH", "POSTROOM_METRICS_PORT", "POSTROOM_DRAIN_S"),
)
_OWN_NAMES = frozenset(name + ending for name in _OWN for ending in ("", "_FILE")) | {
    "POSTROOM_SESSIONS_FILE",
    "POSTROOM_ALIVE_FILE",
}


def session_names(variables: Mapping[str, str], place: Place) -> set[str]:
    """The sessions that the environment names, all of which will lead to the inbox.

    Raises:
        SettingsException: their file is wrong; all of it is listed.
    """
    if variables.get("POSTROOM_SESSIONS_FILE") == str(place.sessions):
        return set()  # a shell that uses this development
    environment = Environment(variables)
    names = set(read_sessions(environment))
    environment.refuse_mistakes()
    return names


def check_schedule(told: Mapping[str, str]) -> None:
    """See that a beat will start, before anything is said to run.

    Raises:
        SettingsException: its file is wrong; all of it is listed.
    """
    from postroom.beat.schedule_file import read_schedule  # noqa: PLC0415 -- it brings in Celery

    environment = Environment(told)
    read_schedule(environment, read_sessions(environment))
    environment.refuse_mistakes()


def for_programs(variables: Mapping[str, str], own: Mapping[str, str], folder: Path) -> dict[str, str]:
    """What worker and beat are told.

    Args:
        variables: the environment.
        own: what development decides.
        folder: from where relative paths are meant; its files may be attached, unless the environment says which may; logs
            are for a person, unless it says otherwise.
    """
    told = {
        name: str(folder / value) if name.endswith("_FILE") else value
        for name, value in variables.items()
        if value and name not in _OWN_NAMES and (name in SETTINGS or name.removesuffix("_FILE") in SETTINGS)
    }
    return {"POSTROOM_ATTACHMENT_ROOTS": str(folder), "POSTROOM_LOG_FORMAT": "text", **told, **own}
