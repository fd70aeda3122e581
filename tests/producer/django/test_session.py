"""Where a Django application's mail goes: `POSTROOM_SESSION`, `EMAIL_*`, and what a caller says instead."""

from __future__ import annotations

from typing import Any

import pytest
from django.core import mail
from django.test import override_settings

from postroom import BasicEmailSessionDetails, EncryptedText, Keyring
from postroom.django import EmailBackend
from postroom.django.session import Wanted, session_for
from postroom.errors import PostroomError, SettingsException, UnencryptedTextException
from postroom.testing import OutboxMailer
from postroom_contract.sealing import generate_key

ENCRYPTED = EncryptedText.encrypt("correct horse", keyring=Keyring.parse(generate_key())).token
LOGIN = {"EMAIL_HOST": "smtp.example.com", "EMAIL_HOST_USER": "clerk@example.com", "EMAIL_HOST_PASSWORD": ENCRYPTED}


def details(**settings: Any) -> BasicEmailSessionDetails:
    """The session details that these settings mean, without a named session."""
    with override_settings(POSTROOM_SESSION=None, **settings):
        session = session_for(Wanted())
    assert isinstance(session, BasicEmailSessionDetails)
    return session


def test_a_named_session_counts_before_email_settings() -> None:
    """POSTROOM_SESSION is all that is needed."""
    with override_settings(**LOGIN):
        assert session_for(Wanted()) == "office"


def test_djangos_defaults_mean_a_relay_on_this_machine() -> None:
    """With nothing configured Django means localhost port 25, no login and no TLS; so does Postroom."""
    session = details().model_dump(mode="json")

    assert session == {
        "server_details": {"host": "localhost", "port": 25, "use_ssl": False, "allow_cleartext": True},
        "credentials": {"anonymous": True},
    }


@pytest.mark.parametrize(
    ("settings", "port", "use_ssl"),
    [
        ({"EMAIL_USE_SSL": True, "EMAIL_PORT": 465}, 465, True),
        ({"EMAIL_USE_TLS": True, "EMAIL_PORT": 587}, 587, False),
        ({"EMAIL_PORT": 2525}, 2525, False),
    ],
    ids=["implicit", "starttls", "neither"],
)
def test_a_login_never_travels_in_the_clear(settings: dict[str, Any], port: int, *, use_ssl: bool) -> None:
    """EMAIL_USE_SSL is TLS from the first byte, and everything else STARTTLS: no server is sent a bare password."""
    session = details(**LOGIN, **settings).model_dump(mode="json")

    assert session["server_details"] == {
        "host": "smtp.example.com",
        "port": port,
        "use_ssl": use_ssl,
        "allow_cleartext": False,
    }
    assert session["credentials"] == {"username": "clerk@example.com", "password": ENCRYPTED, "domain": None}


def test_tls_without_a_login() -> None:
    """EMAIL_USE_TLS is kept to although nobody logs in."""
    assert not details(EMAIL_USE_TLS=True).server_details.allow_cleartext


@pytest.mark.parametrize("setting", ["EMAIL_HOST_USER", "EMAIL_HOST_PASSWORD"])
def test_half_a_login_is_none(setting: str) -> None:
    """A user name without a password, or the other way round, logs nobody in, as in Django."""
    assert details(**{setting: "clerk@example.com"}).model_dump()["credentials"] == {"anonymous": True}


def test_a_clear_password_is_refused_with_the_command_to_run() -> None:
    """The error says what to do, and shows neither the password nor whose it is."""
    with pytest.raises(UnencryptedTextException) as refused:
        details(**(LOGIN | {"EMAIL_HOST_PASSWORD": "correct horse"}), EMAIL_USE_TLS=True, EMAIL_PORT=587)

    told = str(refused.value)
    assert "EMAIL_HOST_PASSWORD is not encrypted" in told
    assert "postroom encrypt --host EMAIL_HOST --port 587 --no-ssl --username EMAIL_HOST_USER" in told
    assert "correct horse" not in told
    assert "example.com" not in told


@pytest.mark.parametrize(
    ("settings", "mistake"),
    [
        ({"EMAIL_USE_TLS": True, "EMAIL_USE_SSL": True}, "both true"),
        ({"EMAIL_SSL_CERTFILE": "client.pem"}, "not a certificate"),
        ({"EMAIL_SSL_KEYFILE": "client.key"}, "not a certificate"),
    ],
    ids=str,
)
def test_settings_that_cannot_be_followed_are_refused(settings: dict[str, Any], mistake: str) -> None:
    """What contradicts itself, or would be left out in silence, is an error."""
    with pytest.raises(SettingsException, match=mistake):
        details(**settings)


def test_a_bad_port_is_told_as_such() -> None:
    """The contract judges host and port."""
    with pytest.raises(PostroomError, match="Port"):
        details(EMAIL_PORT=0x10000)


def test_what_the_caller_says_counts_first(outbox: OutboxMailer) -> None:
    """Arguments for Django's own backend replace the named session, and settings fill the rest in."""
    with override_settings(EMAIL_HOST="relay.example.com"):
        EmailBackend(port=2525).send_messages([mail.EmailMessage("Order", "text", to=["ann@example.com"])])
        EmailBackend(session="bulk", host="other").send_messages([mail.EmailMessage("Order", to=["ann@example.com"])])

    first, second = (delivery.session.server_details for delivery in outbox.outbox)
    assert (first.host, first.port) == ("relay.example.com", 2525)
    assert second.host == "smtp.example.com"


def test_the_login_that_send_mail_is_given(outbox: OutboxMailer) -> None:
    """`auth_user` and `auth_password` are the session's; the password is encrypted there, too."""
    told: dict[str, Any] = {"auth_user": "bob@example.com", "auth_password": ENCRYPTED}
    mail.send_mail("Order", "text", None, ["ann@example.com"], **told)

    assert outbox.outbox[0].session.model_dump()["credentials"]["username"] == "bob@example.com"
    with pytest.raises(UnencryptedTextException):
        mail.send_mail("Order", "text", None, ["ann@example.com"], **(told | {"auth_password": "clear"}))


def test_options_of_a_mailer_stand_alone() -> None:
    """In Django 6.1's MAILERS the options say it all; the port follows from the TLS mode."""
    with override_settings(POSTROOM_SESSION=None, EMAIL_HOST_USER="clerk", EMAIL_HOST_PASSWORD="clear"):
        ports = {}
        for mode, options in {"ssl": {"use_ssl": True}, "tls": {"use_tls": True}, "none": {}}.items():
            session = EmailBackend(host="relay.example.com", alias="default", **options).session  # type: ignore[arg-type]
            assert isinstance(session, BasicEmailSessionDetails)
            assert session.model_dump()["credentials"] == {"anonymous": True}
            ports[mode] = session.server_details.port

    assert ports == {"ssl": 465, "tls": 587, "none": 25}
