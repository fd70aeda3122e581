"""What one SMTP conversation of the test server knows: the server's settings, and how far the client has got.

No I/O and no decisions: `smtp_session` and `smtp_transaction` change the state, `smtp_responder` reads it.
"""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

TlsMode = Literal["none", "starttls", "implicit"]


@dataclass(frozen=True, kw_only=True)
class SmtpSettings:
    """What a server is, the same for all its sessions; `SmtpServer` explains each."""

    tls: TlsMode
    ssl_context: ssl.SSLContext | None
    users: Mapping[str, str] = field(repr=False)
    auth_mechanisms: tuple[str, ...]
    allow_cleartext_auth: bool
    require_auth: bool
    extensions: tuple[str, ...]

    @property
    def size_limit(self) -> int | None:
        """The number behind SIZE; none, and 0, mean no limit (RFC 1870 §4)."""
        for extension in self.extensions:
            keyword, _, number = extension.partition(" ")
            if keyword.upper() == "SIZE" and number:
                return int(number) or None
        return None


@dataclass
class Transaction:
    """A message on its way in: what MAIL and RCPT have said."""

    sender: str
    parameters: dict[str, str]
    recipients: list[str] = field(default_factory=list)

    @property
    def addresses(self) -> str:
        """All addresses, for rules to match."""
        return " ".join([self.sender, *self.recipients])


@dataclass
class SessionState:
    """How far one client has got."""

    settings: SmtpSettings
    is_welcome: bool = False
    """The greeting was a 220."""
    is_greeted: bool = False
    """EHLO or HELO was accepted since the connection, or TLS, stands."""
    is_encrypted: bool = False
    username: str | None = None
    transaction: Transaction | None = None
    transactions_so_far: int = 0

    @property
    def may_auth(self) -> bool:
        """Whether AUTH is offered now."""
        return bool(self.settings.users) and (self.is_encrypted or self.settings.allow_cleartext_auth)

    @property
    def keywords(self) -> tuple[str, ...]:
        """What EHLO announces now, each with its parameters."""
        starttls = ["STARTTLS"] if self.settings.tls == "starttls" and not self.is_encrypted else []
        auth = [f"AUTH {' '.join(self.settings.auth_mechanisms)}"] if self.may_auth else []
        return (*self.settings.extensions, *starttls, *auth)

    @property
    def announced(self) -> frozenset[str]:
        """The keywords alone, in capitals."""
        return frozenset(keyword.partition(" ")[0].upper() for keyword in self.keywords)
