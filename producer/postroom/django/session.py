"""Which SMTP server and user a Django application means: by a session's name, or by Django's own mail settings.

Owns the reading of `POSTROOM_SESSION` and `EMAIL_*`, and of the arguments that `get_connection` passes in their place. The
password among them has to be encrypted text: a web process has no keys to make one, and a queue is no place for a clear one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.conf import settings

from postroom_contract.encrypted_text import EncryptedText
from postroom_contract.error_codes import ErrorCode
from postroom_contract.errors import SettingsException, UnencryptedTextException
from postroom_contract.session import BasicEmailSessionDetails

# What Django's SMTP backend takes where a mailer's options name no port (Django 6.1).
_PORTS = {(True, False): 465, (False, True): 587, (False, False): 25}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The arguments of Django's own SMTP backend that say where mail goes; None means that the settings decide."""

    host: str | None = None
    port: int | None = None
    username: str | None = None
    password: str | None = None
    use_tls: bool | None = None
    use_ssl: bool | None = None
    ssl_keyfile: str | None = None
    ssl_certfile: str | None = None

    @property
    def is_said(self) -> bool:
        """Whether the caller named anything."""
        return any(getattr(self, name) is not None for name in self.__slots__)


def session_for(wanted: Wanted, *, has_own_options: bool = False) -> str | BasicEmailSessionDetails:
    """The name of a session, or session details.

    Args:
        wanted: what the caller said of server and user; where it says nothing, `POSTROOM_SESSION` counts.
        has_own_options: whether the backend stands in Django's `MAILERS`, so that `EMAIL_*` have nothing to say.

    Raises:
        UnencryptedTextException: the password is in the clear.
        SettingsException: the settings contradict each other, or ask for a client certificate.
        PostroomError: a host, port or user name that cannot be one.
    """
    name = getattr(settings, "POSTROOM_SESSION", None)
    if name and not wanted.is_said:
        return str(name)
    return _details(wanted if has_own_options else _completed(wanted))


def _completed(wanted: Wanted) -> Wanted:
    """The same with Django's settings where nothing was said."""

    def said(value: Any, setting: str) -> Any:
        return getattr(settings, setting) if value is None else value

    return Wanted(
        host=wanted.host or settings.EMAIL_HOST,
        port=wanted.port or settings.EMAIL_PORT,
        username=said(wanted.username, "EMAIL_HOST_USER"),
        password=said(wanted.password, "EMAIL_HOST_PASSWORD"),
        use_tls=said(wanted.use_tls, "EMAIL_USE_TLS"),
        use_ssl=said(wanted.use_ssl, "EMAIL_USE_SSL"),
        ssl_keyfile=said(wanted.ssl_keyfile, "EMAIL_SSL_KEYFILE"),
        ssl_certfile=said(wanted.ssl_certfile, "EMAIL_SSL_CERTFILE"),
    )


def _details(wanted: Wanted) -> BasicEmailSessionDetails:
    use_ssl, use_tls = bool(wanted.use_ssl), bool(wanted.use_tls)
    if use_ssl and use_tls:
        raise _wrong("EMAIL_USE_TLS and EMAIL_USE_SSL are both true; keep one")
    if wanted.ssl_keyfile or wanted.ssl_certfile:
        raise _wrong("EMAIL_SSL_KEYFILE and EMAIL_SSL_CERTFILE: Postroom logs in with a password, not a certificate")
    port = wanted.port or _PORTS[use_ssl, use_tls]
    # As with Django's own backend, one without the other means no login.
    credentials: dict[str, Any] = {"anonymous": True}
    if wanted.username and wanted.password:
        credentials = {"username": wanted.username, "password": _encrypted(wanted.password, port, use_ssl=use_ssl)}
    # Where Django is told of neither TLS nor a login, it means a relay nearby, in the clear. A login never travels so.
    in_the_clear = not use_ssl and not use_tls and "anonymous" in credentials
    server = {"host": wanted.host, "port": port, "use_ssl": use_ssl, "allow_cleartext": in_the_clear}
    return BasicEmailSessionDetails.accept({"server_details": server, "credentials": credentials})


def _encrypted(password: str, port: int, *, use_ssl: bool) -> EncryptedText:
    try:
        return EncryptedText(password)
    except UnencryptedTextException as clear:
        options = f"--host EMAIL_HOST --port {port}{'' if use_ssl else ' --no-ssl'} --username EMAIL_HOST_USER"
        detail = (
            f"Run `postroom encrypt {options}` with the values of these settings, where POSTROOM_PASSWORD_KEYS is"
            " set, and put what it prints there; or name a session of POSTROOM_SESSIONS_FILE as POSTROOM_SESSION."
        )
        facts = {"property": "EMAIL_HOST_PASSWORD", "reason": "not_sealed_text", "detail": detail}
        raise UnencryptedTextException(ErrorCode.UNENCRYPTED_TEXT, facts) from clear


def _wrong(mistake: str) -> SettingsException:
    return SettingsException(ErrorCode.BAD_SETTINGS, {"detail": mistake, "mistakes": [{"message": mistake}]})
