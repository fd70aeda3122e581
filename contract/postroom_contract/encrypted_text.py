"""Encrypted text: a password, host or user name that only a holder of the password keys can read.

Owns what a password is bound to (host, port, TLS mode, user name), so that a stolen ciphertext cannot be sent to
another host. The cipher is `sealing`'s; which keys a process holds is the settings' business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from postroom_contract.address import host_form
from postroom_contract.error_codes import ErrorCode
from postroom_contract.errors import UnencryptedTextException
from postroom_contract.sealing import SEALED_TEXT, Keyring

if TYPE_CHECKING:
    from collections.abc import Mapping


class EncryptedText:
    """A sealed text in its written form; never shows what it holds."""

    __slots__ = ("token",)

    def __init__(self, token: str) -> None:
        """Take the written form that `postroom encrypt` prints.

        Raises:
            UnencryptedTextException: the text is not of that form, so it may be a secret in the clear.
        """
        if not isinstance(token, str) or not SEALED_TEXT.fullmatch(token):
            raise UnencryptedTextException(
                ErrorCode.UNENCRYPTED_TEXT, {"property": "Text", "reason": "not_sealed_text"}
            )
        self.token = token

    @classmethod
    def encrypt(  # noqa: PLR0913 -- a password is bound to exactly these four facts
        cls,
        text: str,
        *,
        keyring: Keyring | None = None,
        host: str | None = None,
        port: int | None = None,
        use_ssl: bool = True,
        username: str | None = None,
    ) -> Self:
        """Encrypt a password (with host, port and user name) or a plain text (without them).

        Args:
            text: the secret.
            keyring: the password ring; by default POSTROOM_PASSWORD_KEYS (or ..._FILE).
            host: the server the password is for, as the session details will name it.
            port: its port.
            use_ssl: TLS from the first byte.
            username: whose password it is.
        """
        ring = keyring or _password_ring()
        if host is None or port is None or username is None:
            if (host, port, username) != (None, None, None):
                raise TypeError("a password is bound to host, port and username: give all three, or none for a text")
            return cls(ring.seal(text.encode(), {"use": "text"}))
        return cls(ring.seal(text.encode(), password_place(host, port, use_ssl=use_ssl, username=username)))

    def open(self, keyring: Keyring, bound_to: Mapping[str, object] | None = None) -> str:
        """Decrypt it.

        Raises:
            SealException: the key is not in the ring, or the text is bound to something else.
        """
        return keyring.open(self.token, bound_to or {"use": "text"}).decode()

    def __eq__(self, other: object) -> bool:
        """Two are equal when their written forms are."""
        return isinstance(other, EncryptedText) and other.token == self.token

    def __hash__(self) -> int:
        """Hash by the written form."""
        return hash(self.token)

    def __repr__(self) -> str:
        """Say what it is, not what it holds."""
        return "EncryptedText(...)"

    __str__ = __repr__


def password_place(host: str, port: int, *, use_ssl: bool, username: str) -> dict[str, object]:
    """What a password is bound to: the server, in whatever way its host is written, and the user it is for."""
    server = host_form(host).lower().rstrip(".")
    return {"use": "password", "host": server, "port": port, "use_ssl": use_ssl, "username": username}


def _password_ring() -> Keyring:
    from postroom_contract.environment import read_keyring  # noqa: PLC0415 -- only this default needs the environment

    return read_keyring("POSTROOM_PASSWORD_KEYS")
