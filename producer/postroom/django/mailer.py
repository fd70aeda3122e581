"""The one mailer of a Django process: made on first use, of Django's settings over the environment.

Owns its making and its replacement in tests. It may be made before gunicorn forks or after, and all threads share it. What
is sent with it is the backend's business.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from django.conf import settings
from django.core.signals import setting_changed

from postroom.host_settings import VARIABLES, over_environment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from postroom.mailer import AnyMailer

Own = TypeVar("Own", bound="AnyMailer")

_lock = threading.Lock()
_mailer: AnyMailer | None = None


def get_mailer() -> AnyMailer:
    """The process's mailer; ask it for a receipt to learn what became of a mail.

    Raises:
        SettingsException: something is missing or wrong; all of it is listed.
    """
    global _mailer  # noqa: PLW0603 -- one for the process is what this module is for
    with _lock:
        if _mailer is None:
            from postroom.mailer import Mailer  # noqa: PLC0415 -- brings in redis, which `manage.py --help` can do without

            _mailer = Mailer.from_env(over_environment({name: getattr(settings, name, None) for name in VARIABLES}))
        return _mailer


@contextmanager
def use_mailer(mailer: Own) -> Iterator[Own]:
    """Put another mailer in its place for a while, and return it: a test's `OutboxMailer`."""
    global _mailer  # noqa: PLW0603
    with _lock:
        replaced, _mailer = _mailer, mailer
    try:
        yield mailer
    finally:
        with _lock:
            _mailer = replaced


def forget_mailer(kind: type = object) -> None:
    """Make the mailer anew at its next use, if it is of this kind."""
    global _mailer  # noqa: PLW0603
    with _lock:
        if isinstance(_mailer, kind):
            _mailer = None


def _forget(*, setting: str, **_: Any) -> None:
    """Make the mailer anew after a test has overridden what it is made of."""
    if setting in VARIABLES:
        forget_mailer()


setting_changed.connect(_forget)
