"""What `manage.py check` says of the mail settings."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from django.core.checks import Error
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.test import override_settings

from postroom.django.checks import check_mail
from postroom.testing import OutboxMailer


def told(**settings: Any) -> list[str]:
    """The mistakes with these settings."""
    with override_settings(**settings):
        errors = check_mail()
    assert all(isinstance(error, Error) and error.id == "postroom.E001" for error in errors)
    return [error.msg for error in errors]


def test_good_settings_pass(outbox: OutboxMailer) -> None:
    """Nothing is said, and nothing is queued."""
    assert told() == []
    assert outbox.outbox == []


def test_missing_keys_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment's mistakes come out at the start, each as one."""
    monkeypatch.delenv("POSTROOM_KEYS", raising=False)

    keys, broker = told(POSTROOM_BROKER_URL="http://localhost")
    assert "POSTROOM_KEYS" in keys
    assert "POSTROOM_BROKER_URL" in broker


def test_a_session_that_nobody_configured_is_told(outbox: OutboxMailer) -> None:
    """A slip in POSTROOM_SESSION does not wait for the first mail."""
    (mistake,) = told(POSTROOM_SESSION="offise")

    assert "no session 'offise' (known: bulk, office)" in mistake


def test_a_clear_password_is_told(outbox: OutboxMailer) -> None:
    """With the command that encrypts it."""
    (mistake,) = told(POSTROOM_SESSION=None, EMAIL_HOST_USER="clerk", EMAIL_HOST_PASSWORD="clear")

    assert "postroom encrypt" in mistake


def test_another_backend_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where mail goes elsewhere, as in Django's own tests, Postroom needs no keys."""
    monkeypatch.delenv("POSTROOM_KEYS", raising=False)

    assert told(EMAIL_BACKEND="django.core.mail.backends.locmem.EmailBackend") == []


def test_each_of_several_mailers_is_looked_at(outbox: OutboxMailer) -> None:
    """Django 6.1's MAILERS: the options of each alias are judged."""
    backend = "postroom.django.EmailBackend"
    mailers = {
        "default": {"BACKEND": backend},
        "bulk": {"BACKEND": backend, "OPTIONS": {"session": "offise"}},
        "console": {"BACKEND": "django.core.mail.backends.console.EmailBackend"},
    }

    assert ["no session 'offise'" in mistake for mistake in told(MAILERS=mailers)] == [True]


def test_the_check_is_registered(outbox: OutboxMailer) -> None:
    """`manage.py check` fails on it when `postroom.django` is installed."""
    call_command("check", stdout=StringIO(), stderr=StringIO())
    with override_settings(POSTROOM_SESSION="offise"), pytest.raises(SystemCheckError, match=r"postroom\.E001"):
        call_command("check", stdout=StringIO(), stderr=StringIO())
