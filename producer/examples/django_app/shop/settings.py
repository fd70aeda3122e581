"""The example shop's settings. What concerns mail stands at the end; the rest is the least that Django needs."""

import os

SECRET_KEY = os.environ.get("SECRET_KEY", "for the example only")
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
ROOT_URLCONF = "shop.urls"
USE_TZ = True

# Every request is a transaction: its mail is queued when it commits, and not at all when it fails.
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:", "ATOMIC_REQUESTS": True}}

# Needed for `manage.py postroom_test` and for the check of the mail settings.
INSTALLED_APPS = ["postroom.django"]
EMAIL_BACKEND = "postroom.django.EmailBackend"
POSTROOM_SESSION = "shop"
DEFAULT_FROM_EMAIL = "Shop <shop@example.com>"
