"""Postroom as a Django application: in INSTALLED_APPS it adds a system check and a management command.

Owns the label, and which of the two are registered. The backend works without it.
"""

from django.apps import AppConfig
from django.core.checks import register

from postroom.django.checks import check_mail


class PostroomConfig(AppConfig):
    """`INSTALLED_APPS = ["postroom.django", ...]`."""

    name = "postroom.django"
    # The folder's name is Django's own.
    label = "postroom"
    verbose_name = "Postroom"

    def ready(self) -> None:
        """Let `manage.py check`, and what runs it, look at the mail settings."""
        register(check_mail)
