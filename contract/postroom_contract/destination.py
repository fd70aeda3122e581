"""Where the news of a delivery's end is told: a host's own Celery task, or a webhook.

Owns the two written forms, `celery:<task>[?queue=<queue>]` and an http or https URL, what is wrong with others, and the sealed
form, bound to the delivery's id. A webhook's URL may hold a token: no `repr` and no error shows it. Calling is the worker's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from postroom_contract.error_codes import ErrorCode
from postroom_contract.errors import ArgumentException, SettingsException
from postroom_contract.refusal import refuse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from postroom_contract.sealing import Keyring

# What `on_outcome` says where a message is to tell nobody, whatever the setting says.
NOBODY = "none"
CELERY = "celery:"
# Celery's own default.
DEFAULT_QUEUE = "celery"
# What web servers and proxies take everywhere.
MOST_CHARACTERS = 2048
# Task and queue become routing keys and names of Redis keys.
_TASK = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)
_QUEUE = re.compile(r"[A-Za-z0-9_.:-]{1,200}")

FORMS = 'It is "celery:shop.tasks.mail_ended" (with "?queue=shop", if need be), an http or https URL, or "none".'


@dataclass(frozen=True, slots=True)
class HostTask:
    """A Celery task of the host, by name."""

    name: str
    queue: str = DEFAULT_QUEUE


@dataclass(frozen=True, slots=True)
class Webhook:
    """A URL that takes POST requests."""

    url: str = field(repr=False)

    @property
    def place(self) -> str:
        """Scheme, host and port: what is slow or away, whatever the path is. Not for logs."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.hostname}:{parts.port or ''}"


Destination = HostTask | Webhook


class _Wrong(ValueError):
    """What is wrong, in a sentence without the text itself."""


def read_destination(text: str) -> Destination:
    """Take a written destination apart.

    Raises:
        ArgumentException: it is none.
    """
    try:
        return _read(text)
    except _Wrong as wrong:
        facts = {"property": "OnOutcome", "reason": "unknown_value", "detail": str(wrong)}
        raise ArgumentException(ErrorCode.INVALID_ARGUMENT, facts) from None


def check_setting(text: str) -> str | None:
    """A destination as a setting gives it; None for "none".

    Raises:
        SettingsException: it is none.
    """
    try:
        return _checked(text)
    except _Wrong as wrong:
        raise SettingsException(ErrorCode.BAD_SETTINGS, {"detail": str(wrong)}) from None


def check_wish(value: object) -> str | None:
    """A destination as a caller gives it; None for "none".

    Raises:
        PydanticCustomError: it is none.
    """
    if value is None:
        return None
    try:
        return _checked(value if isinstance(value, str) else "")
    except _Wrong as wrong:
        raise refuse(ErrorCode.INVALID_ARGUMENT, "unknown_value", detail=str(wrong)) from None


def seal_destination(text: str, delivery_id: str, keyring: Keyring) -> str:
    """The destination as it lies in Redis."""
    return keyring.seal(text.encode(), _place(delivery_id))


def open_destination(sealed: str, delivery_id: str, keyring: Keyring) -> Destination:
    """The destination that a sealed text holds.

    Raises:
        SealException: it was sealed with an unknown key, or for another delivery.
        ArgumentException: what was sealed is none that this version knows.
    """
    return read_destination(keyring.open(sealed, _place(delivery_id)).decode())


def _checked(text: str) -> str | None:
    if text == NOBODY:
        return None
    _read(text)
    return text


def _read(text: str) -> Destination:
    if len(text) > MOST_CHARACTERS:
        raise _Wrong(f"It has more than {MOST_CHARACTERS} characters.")
    if not text.isascii() or not text.isprintable() or " " in text:
        raise _Wrong(
            "It takes printable ASCII without spaces only: percent-encode a path, and write a host name as xn--…"
        )
    return _read_task(text.removeprefix(CELERY)) if text.startswith(CELERY) else _read_url(text)


def _read_task(text: str) -> HostTask:
    name, _, query = text.partition("?")
    if not _TASK.fullmatch(name):
        raise _Wrong("After celery: comes the full name of a task, such as shop.tasks.mail_ended.")
    options = parse_qsl(query, keep_blank_values=True)
    if not query:
        return HostTask(name)
    if [option for option, _ in options] != ["queue"] or not _QUEUE.fullmatch(options[0][1]):
        raise _Wrong("After the task's name may come ?queue= with the name of a queue, and nothing else.")
    return HostTask(name, options[0][1])


def _read_url(text: str) -> Webhook:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise _Wrong(FORMS) from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0:
        raise _Wrong(FORMS)
    if "@" in parts.netloc:
        raise _Wrong("A webhook's URL holds no user name and no password: the receiver verifies the signature.")
    if "#" in text:
        raise _Wrong("A webhook's URL has no fragment: what comes after # is never sent.")
    return Webhook(text)


def _place(delivery_id: str) -> Mapping[str, object]:
    return {"use": "outcome destination", "id": delivery_id}
