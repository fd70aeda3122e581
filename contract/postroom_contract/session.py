"""Session details: the server to use and the credentials for it; they also identify the session that is kept open.

Owns the block's `BasicEmailSessionDetails` and what a password must be (encrypted). Opening sessions is the worker's
business, and so is decrypting: a producer holds no password keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BeforeValidator, Discriminator, Field, PlainSerializer, Tag, ValidationInfo, field_validator

from postroom_contract.address import host_form, is_ip
from postroom_contract.encrypted_text import EncryptedText
from postroom_contract.error_codes import ErrorCode
from postroom_contract.refusal import ContractModel, refuse
from postroom_contract.sealing import SEALED_TEXT
from postroom_contract.text import has_control_characters

# RFC 1035 section 2.3.4, and the most that a user name or a SASL domain was ever seen to need.
MOST_HOST_CHARACTERS = 255
MOST_USERNAME_CHARACTERS = 320


def _password(value: object) -> EncryptedText:
    if isinstance(value, EncryptedText):
        return value
    if value is None:
        raise refuse(ErrorCode.NULL_PROPERTY)
    if not isinstance(value, str) or not SEALED_TEXT.fullmatch(value):
        raise refuse(ErrorCode.UNENCRYPTED_TEXT, "not_sealed_text")
    return EncryptedText(value)


def _maybe_encrypted(value: object) -> object:
    """Text in the clear, or encrypted text in its written form."""
    return EncryptedText(value) if isinstance(value, str) and SEALED_TEXT.fullmatch(value) else value


def _is_clear(value: object) -> str | None:
    return None if value is None else "#encrypted" if isinstance(value, EncryptedText) else "#clear"


_written = PlainSerializer(lambda value: value.token if isinstance(value, EncryptedText) else value)
ClearOrEncrypted = Annotated[
    Annotated[str, Tag("#clear")] | Annotated[EncryptedText, Tag("#encrypted")],
    Discriminator(_is_clear),
    BeforeValidator(_maybe_encrypted),
    _written,
]
Password = Annotated[EncryptedText, BeforeValidator(_password), _written]


class ServerDetails(ContractModel):
    """Where the server is and how TLS begins: from the first byte (`use_ssl`), or by STARTTLS."""

    host: ClearOrEncrypted
    port: Annotated[int, Field(ge=1, le=65535, strict=True)]
    use_ssl: bool = True
    # Credentials and mail in the clear, where the server offers no STARTTLS: only ever by this express word.
    allow_cleartext: bool = False

    @field_validator("host")
    @classmethod
    def _a_host(cls, host: str | EncryptedText) -> str | EncryptedText:
        if isinstance(host, str):
            return check_host(host)
        return host

    @field_validator("use_ssl", "allow_cleartext", mode="before")
    @classmethod
    def _default(cls, value: object, info: ValidationInfo) -> object:
        return cls.model_fields[str(info.field_name)].default if value is None else value

    def __repr__(self) -> str:
        """Show how, not where."""
        return f"ServerDetails(port={self.port}, use_ssl={self.use_ssl})"


class UserCredentials(ContractModel):
    """A user name and its encrypted password; `domain` is accepted and ignored, as in the block."""

    username: ClearOrEncrypted
    password: Password
    domain: ClearOrEncrypted | None = None

    @field_validator("username")
    @classmethod
    def _a_name(cls, username: str | EncryptedText) -> str | EncryptedText:
        if isinstance(username, str):
            if not username:
                raise refuse(ErrorCode.EMPTY_PROPERTY)
            if has_control_characters(username):
                raise refuse(ErrorCode.INVALID_ARGUMENT, "control_characters")
            if len(username) > MOST_USERNAME_CHARACTERS:
                raise refuse(ErrorCode.INVALID_ARGUMENT, "too_long", limit=MOST_USERNAME_CHARACTERS)
        return username

    def __repr__(self) -> str:
        """Show nothing of them."""
        return "UserCredentials(...)"


class Anonymous(ContractModel):
    """Express wish to send without logging in, for a relay that asks for no credentials."""

    anonymous: Literal[True] = True


def _kind(value: object) -> str | None:
    """Choose by the key that is there, so that a mistake in a user's credentials is told as one."""
    if isinstance(value, Mapping):
        return "#anonymous" if any(str(key).lower() == "anonymous" for key in value) else "#user"
    if isinstance(value, Anonymous):
        return "#anonymous"
    return "#user" if isinstance(value, UserCredentials) else None


class BasicEmailSessionDetails(ContractModel):
    """The server and the credentials; equal details share a session."""

    server_details: ServerDetails
    credentials: Annotated[
        Annotated[UserCredentials, Tag("#user")] | Annotated[Anonymous, Tag("#anonymous")], Discriminator(_kind)
    ]

    @property
    def clear_place(self) -> tuple[str | int | bool | None, ...]:
        """What is not encrypted of server and user: the same for the same details, however often they are encrypted."""
        server = self.server_details
        username = None if isinstance(self.credentials, Anonymous) else self.credentials.username
        texts = (text if isinstance(text, str) else None for text in (server.host, username))
        return (*texts, server.port, server.use_ssl, server.allow_cleartext)

    def __repr__(self) -> str:
        """Show the port and the TLS mode only."""
        return f"BasicEmailSessionDetails({self.server_details!r})"


def check_host(host: str) -> str:
    """A host that may be looked up: a name (A-label form) or an IP address."""
    if not host.strip():
        raise refuse(ErrorCode.EMPTY_PROPERTY)
    if len(host) > MOST_HOST_CHARACTERS:
        raise refuse(ErrorCode.INVALID_ARGUMENT, "too_long", limit=MOST_HOST_CHARACTERS)
    form = host_form(host)
    forbidden = " \t/@" if is_ip(form) else " \t/@:"
    if has_control_characters(form) or not form.isascii() or any(character in form for character in forbidden):
        detail = "It is a name or an IP address alone, without scheme, port or path."
        raise refuse(ErrorCode.INVALID_ARGUMENT, "illegal_characters", detail=detail)
    return form
