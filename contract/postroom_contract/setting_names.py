"""The names of all settings, so that a slip in one is told: a variable that nobody reads changes nothing, and says nothing.

Owns the list and the guess what was meant. What a setting means, and its default, is the business of whoever reads it; the
README's table has the same names.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

# Each may be given as a file too, under its name and "_FILE".
SETTINGS = frozenset(
    {
        "POSTROOM_ALIVE_FILE",
        "POSTROOM_ATTACHMENT_ROOTS",
        "POSTROOM_BROKER_URL",
        "POSTROOM_COMMAND_TIMEOUT_S",
        "POSTROOM_CONCURRENCY",
        "POSTROOM_CONNECT_TIMEOUT_S",
        "POSTROOM_DRAIN_S",
        "POSTROOM_EHLO_NAME",
        "POSTROOM_FINAL_TIMEOUT_S",
        "POSTROOM_FLOWER_AUTH",
        "POSTROOM_GREETING_TIMEOUT_S",
        "POSTROOM_KEYS",
        "POSTROOM_LOG_FORMAT",
        "POSTROOM_METRICS_HOST",
        "POSTROOM_METRICS_PORT",
        "POSTROOM_MOST_AGE_S",
        "POSTROOM_MOST_ATTACHMENT_BYTES",
        "POSTROOM_MOST_CONNECTIONS",
        "POSTROOM_MOST_IDLE_S",
        "POSTROOM_MOST_MESSAGES_PER_CONNECTION",
        "POSTROOM_ON_OUTCOME",
        "POSTROOM_ON_OUTCOME_BROKER_URL",
        "POSTROOM_PASSWORD_KEYS",
        "POSTROOM_RESULT_URL",
        "POSTROOM_SCHEDULE_FILE",
        "POSTROOM_SESSIONS_FILE",
        "POSTROOM_WEBHOOK_SECRETS",
    }
)
# What the adapters of web frameworks read from the framework's own settings; programs set variables of these names too.
_OF_FRAMEWORKS = frozenset({"POSTROOM_DATABASE", "POSTROOM_MAILER", "POSTROOM_SESSION"})

_KNOWN = sorted({*SETTINGS, *(f"{name}_FILE" for name in SETTINGS), *_OF_FRAMEWORKS})
# How alike two names must be. A slip of two letters is; the POSTROOM_PORT that Kubernetes sets for a service of that name is
# not like any of ours.
_ALIKE = 0.87


def slips(variables: Iterable[str]) -> list[tuple[str, str]]:
    """The variables that nobody reads although their names are nearly those of settings, each with the name that was meant."""
    unread = sorted(name for name in variables if name.upper().startswith("POSTROOM_") and name not in _KNOWN)
    meant = [(name, difflib.get_close_matches(name.upper(), _KNOWN, n=1, cutoff=_ALIKE)) for name in unread]
    return [(name, guesses[0]) for name, guesses in meant if guesses]
