"""Where news is told: two written forms, sealed for one delivery, and what is none of them."""

from __future__ import annotations

import pytest

from postroom_contract.destination import (
    HostTask,
    Webhook,
    check_setting,
    open_destination,
    read_destination,
    seal_destination,
)
from postroom_contract.errors import ArgumentException, SealException, SettingsException
from tests.support.payloads import MAIL_KEYS

URL = "https://shop.example.com/hooks/mail?token=secret"


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("celery:shop.tasks.mail_ended", HostTask("shop.tasks.mail_ended")),
        ("celery:ended?queue=shop", HostTask("ended", "shop")),
        (URL, Webhook(URL)),
        ("http://hooks:8080/", Webhook("http://hooks:8080/")),
    ],
)
def test_a_destination_is_read(text: str, read: HostTask | Webhook) -> None:
    """A task by its name and queue, a webhook by its URL."""
    assert read_destination(text) == read


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "http or https URL"),
        ("ftp://x/", "http or https URL"),
        ("https://", "http or https URL"),
        ("https://x:port/", "http or https URL"),
        ("https://ann:secret@x/", "no user name and no password"),
        ("https://x/#secret", "no fragment"),
        ("https://x/ü", "printable ASCII"),
        ("https://x/ y", "printable ASCII"),
        ("https://x/\n", "printable ASCII"),
        ("https://x/" + "y" * 2048, "more than 2048"),
        ("celery:", "full name of a task"),
        ("celery:a-b", "full name of a task"),
        ("celery:a?q=b", "queue="),
        ("celery:a?queue=", "queue="),
        ("celery:a?queue=x&queue=y", "queue="),
    ],
)
def test_what_is_none_is_told_without_being_repeated(text: str, complaint: str) -> None:
    """It may hold a token."""
    with pytest.raises(ArgumentException, match=complaint) as caught:
        read_destination(text)
    with pytest.raises(SettingsException, match=complaint):
        check_setting(text)

    assert "secret" not in str(caught.value)


def test_none_is_a_wish_too() -> None:
    """It overrides the setting."""
    assert check_setting("none") is None
    assert check_setting(URL) == URL


def test_a_sealed_one_opens_for_its_delivery_alone() -> None:
    """Nobody who can write to Redis makes workers call anything."""
    sealed = seal_destination(URL, "d1", MAIL_KEYS)

    assert "secret" not in sealed
    assert open_destination(sealed, "d1", MAIL_KEYS) == Webhook(URL)
    with pytest.raises(SealException):
        open_destination(sealed, "d2", MAIL_KEYS)


def test_a_webhook_shows_no_url() -> None:
    """Its place is what is slow or away, and its repr says nothing."""
    assert "secret" not in repr(Webhook(URL))
    assert Webhook(URL).place == Webhook("https://shop.example.com/other").place
    assert Webhook(URL).place != Webhook("http://shop.example.com/").place
