"""Django itself, set up once for the run, with Postroom as its mail backend. Import it before anything of Django's.

Owns the settings that all tests of the Django adapter start from; each overrides what it is about. Sending needs a mailer: a
test puts an outbox in its place, or sets the environment for a real one.
"""

import django
from django.conf import settings

_MEMORY = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}


def set_up() -> None:
    """Configure Django, unless it is."""
    if settings.configured:
        return
    settings.configure(
        INSTALLED_APPS=["postroom.django"],
        EMAIL_BACKEND="postroom.django.EmailBackend",
        POSTROOM_SESSION="office",
        DEFAULT_FROM_EMAIL="Shop <shop@example.com>",
        SERVER_EMAIL="server@example.com",
        EMAIL_SUBJECT_PREFIX="[shop] ",
        DATABASES={"default": _MEMORY, "other": _MEMORY},
    )
    django.setup()
