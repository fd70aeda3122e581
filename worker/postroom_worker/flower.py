"""How Flower shows this system: to those who log in, on this machine, and with nothing to press, unless told otherwise.

Owns those defaults, given to Flower by the environment before it reads its options, so that `celery -A postroom_worker flower` has
them as well as `postroom flower`. Flower's own options, variables and file come after them and win; that nobody need log in is
no default of ours. Flower gets no keys: what it shows is public already.
"""

from __future__ import annotations

import secrets
import sys
from collections.abc import Iterator, MutableMapping, Sequence

from postroom_contract.environment import Environment
from postroom_contract.error_codes import ErrorCode
from postroom_contract.errors import SettingsException

SETTING = "POSTROOM_FLOWER_AUTH"

LOOPBACK = "127.0.0.1"
_LOOPBACKS = frozenset({LOOPBACK, "localhost", "::1"})
# Flower keeps tasks in memory, about 3 kB each, and its list of tasks takes longer with each; its own default is ten times as
# many.
MOST_TASKS = 10_000
# What replaces a password, in bits: nobody guesses it in the lifetime of one run.
_PASSWORD_BYTES = 12
_WAYS_TO_LOG_IN = ("basic_auth", "auth")
# Flower answers with its own 401 where nobody need log in; then it is up to whoever said so.
_DEFAULTS = {
    "FLOWER_READ_ONLY": "true",
    "FLOWER_MAX_TASKS": str(MOST_TASKS),
    # What a person at Flower asks first: which mails, how they stand, how long they took, where.
    "FLOWER_TASKS_COLUMNS": "uuid,state,result,exception,retries,runtime,received,worker",
}


def is_flower(argv: Sequence[str]) -> bool:
    """Whether a command line is one of Flower's: `celery -A postroom_worker flower`."""
    return "flower" in argv[1:]


def guard(argv: Sequence[str], environ: MutableMapping[str, str]) -> None:
    """Give Flower its defaults, if this program is about to become it.

    Args:
        argv: this program's command line.
        environ: this program's variables, from which Flower reads its options.

    Raises:
        SettingsException: it would show to other machines, and nobody has said who may look.
    """
    if not is_flower(argv):
        return
    for name, value in {"FLOWER_ADDRESS": LOOPBACK, **_DEFAULTS}.items():
        environ.setdefault(name, value)
    if any(_asked(option, argv, environ) for option in _WAYS_TO_LOG_IN):
        return
    environ["FLOWER_BASIC_AUTH"] = _credentials(argv, environ)


def _credentials(argv: Sequence[str], environ: MutableMapping[str, str]) -> str:
    """Who may look: user and password, between a colon."""
    environment = Environment(environ)
    told = environment.text(SETTING)
    user, colon, password = told.partition(":")
    if told and not (user and colon and password):
        environment.mistakes.append(f"{SETTING} is not of the form user:password")
    elif "," in told:
        # Flower reads several between commas.
        environment.mistakes.append(f"{SETTING} holds a comma, which Flower would take for the end of the password")
    environment.refuse_mistakes()
    if told:
        return told
    address = _asked("address", argv, environ)
    if address not in _LOOPBACKS and not _asked("unix_socket", argv, environ):
        detail = f"Flower would show to other machines: set {SETTING} (or {SETTING}_FILE) to user:password first"
        raise SettingsException(ErrorCode.BAD_SETTINGS, {"detail": detail})
    made = f"postroom:{secrets.token_urlsafe(_PASSWORD_BYTES)}"
    hint = f"set {SETTING} for one that lasts"
    print(f"Flower: log in as {made.replace(':', ' with the password ')} ({hint})", file=sys.stderr)  # noqa: T201 -- once, to whoever started it; a log would keep it
    return made


def _asked(option: str, argv: Sequence[str], environ: MutableMapping[str, str]) -> str:
    """What an option of Flower's was set to, by its command line or its variable; the last wins, as with Flower."""
    values = [environ.get(f"FLOWER_{option.upper()}", ""), *_on_line(option, argv)]
    return values[-1]


def _on_line(option: str, argv: Sequence[str]) -> Iterator[str]:
    for word in argv:
        name, equals, value = word.lstrip("-").partition("=")
        if word.startswith("--") and equals and name.replace("-", "_") == option:
            yield value
