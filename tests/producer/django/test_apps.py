"""Postroom among Django's applications."""

from django.apps import apps
from django.core.management import get_commands

from postroom.django.apps import PostroomConfig


def test_it_is_installed_under_its_own_label() -> None:
    """The label is not that of the folder, which would be Django's own name."""
    assert isinstance(apps.get_app_config("postroom"), PostroomConfig)


def test_its_command_is_found() -> None:
    """`manage.py postroom_test` exists."""
    assert get_commands()["postroom_test"] == "postroom.django"
