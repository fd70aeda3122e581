"""Session details in the clear: where to connect, how, and as whom; and the key under which a session is kept.

Owns what two messages must have in common to share a connection. Made by the delivery, which opens the encrypted
details; lives as short as a send, and shows nothing of itself.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass, field

from postroom_worker.smtp.place import Place

# Passwords are compared by a keyed digest, so that neither they nor anything that could be looked up stays in memory.
_DIGEST_KEY = secrets.token_bytes(32)


@dataclass(frozen=True, slots=True)
class SessionKey:
    """What identifies a session: the server, the TLS policy, and who is logged in with which password."""

    host: str
    port: int
    use_ssl: bool
    allow_cleartext: bool
    username: str | None
    password_digest: bytes | None

    def __repr__(self) -> str:
        """Show how, not where or who."""
        return f"SessionKey(port={self.port}, use_ssl={self.use_ssl})"


@dataclass(frozen=True, slots=True)
class Access:
    """Opened session details. A password without a user name, or the other way round, is a mistake."""

    host: str
    port: int
    use_ssl: bool = True
    allow_cleartext: bool = False
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if (self.username is None) != (self.password is None):
            raise ValueError("give user name and password, or neither")

    @property
    def has_credentials(self) -> bool:
        """Whether to log in."""
        return self.username is not None

    @property
    def place(self) -> Place:
        """The server, for errors."""
        return Place(self.host, self.port)

    @property
    def key(self) -> SessionKey:
        """The key of the sessions that these details may use."""
        digest = None if self.password is None else hmac.digest(_DIGEST_KEY, self.password.encode(), "sha256")
        host = self.host.lower().rstrip(".")
        return SessionKey(host, self.port, self.use_ssl, self.allow_cleartext, self.username, digest)

    def __repr__(self) -> str:
        """Show how, not where or who."""
        return f"Access(port={self.port}, use_ssl={self.use_ssl})"
