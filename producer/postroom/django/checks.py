"""What `manage.py check` says of the mail settings, so that a wrong one is told at the start and not by the first mail.

Owns the translation of Postroom's errors into Django's check messages. What is wrong is judged where it is read: by the
mailer's settings and by `session`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.checks import Error
from django.utils.module_loading import import_string

from postroom.django.backend import EmailBackend
from postroom.django.mailer import get_mailer
from postroom_contract.errors import PostroomError
from postroom_contract.message import EmailMessage

if TYPE_CHECKING:
    from collections.abc import Iterator

# Never sent.
_PROBE = EmailMessage(to="check@example.com", from_="check@example.com")


def check_mail(**_: Any) -> list[Error]:
    """The mistakes in the settings of every mail backend that is Postroom's; none where another one is used."""
    told: dict[str, Error] = {}
    for name, options in _configured():
        kind = import_string(name)
        if not isinstance(kind, type) or not issubclass(kind, EmailBackend):
            continue
        try:
            get_mailer().check(_PROBE, kind(**options).session)
        except PostroomError as wrong:
            lines = [str(mistake["message"]) for mistake in wrong.mistakes] or [str(wrong)]
            told |= {line: Error(line, id="postroom.E001") for line in lines}
    return list(told.values())


def _configured() -> Iterator[tuple[str, dict[str, Any]]]:
    """Each mail backend's name and its arguments: Django 6.1 has several, by alias."""
    mailers = getattr(settings, "MAILERS", None)
    if not mailers:
        yield settings.EMAIL_BACKEND, {}
        return
    for alias, mailer in mailers.items():
        yield mailer["BACKEND"], {"alias": alias, **mailer.get("OPTIONS", {})}
