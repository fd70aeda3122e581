"""The signature of a webhook's request, by the public Standard Webhooks scheme: HMAC-SHA256 over id, time and body.

Owns the secrets' written form (`whsec_` and base64, several between commas), signing, and checking. The worker signs, with
every secret, so that secrets can be changed one side at a time; a host checks by `postroom.webhooks`.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
import secrets
from typing import TYPE_CHECKING, Self

from postroom_contract.error_codes import ErrorCode
from postroom_contract.errors import SettingsException

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PREFIX = "whsec_"
VERSION = "v1"
# The scheme asks for 24 to 64 octets.
LEAST_BYTES, MOST_BYTES = 24, 64
NEW_BYTES = 32


class WebhookSecrets:
    """Secrets that sign together; each of them is enough to check."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = tuple(keys)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Secrets in their written form, between commas or white space.

        Raises:
            SettingsException: none, or one that is malformed; no error repeats it.
        """
        return cls([_key(number, word) for number, word in enumerate(filter(None, re.split(r"[,\s]+", text)), start=1)])

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self._keys)

    def sign(self, message_id: str, timestamp: int, body: bytes) -> str:
        """The header `webhook-signature`: one signature by each secret."""
        return " ".join(f"{VERSION},{signature}" for signature in self._signatures(message_id, timestamp, body))

    def verify(self, message_id: str, timestamp: int, body: bytes, header: str) -> bool:
        """Whether one of the signatures in the header is by one of the secrets; in the same time, whichever it is."""
        told = [word.removeprefix(f"{VERSION},") for word in header.split() if word.startswith(f"{VERSION},")]
        is_signed = False
        for signature in self._signatures(message_id, timestamp, body):
            for each in told:
                is_signed |= hmac.compare_digest(signature.encode(), each.encode(errors="replace"))
        return is_signed

    def _signatures(self, message_id: str, timestamp: int, body: bytes) -> Iterator[str]:
        signed = f"{message_id}.{timestamp}.".encode() + body
        for key in self._keys:
            yield base64.b64encode(hmac.digest(key, signed, "sha256")).decode()

    def __repr__(self) -> str:
        """Show how many they are."""
        return f"WebhookSecrets({len(self._keys)})"


def generate_secret() -> str:
    """A new secret in its written form."""
    return PREFIX + base64.b64encode(secrets.token_bytes(NEW_BYTES)).decode()


def _key(number: int, word: str) -> bytes:
    try:
        key = base64.b64decode(word.removeprefix(PREFIX), validate=True)
    except (ValueError, binascii.Error):
        key = b""
    if not word.startswith(PREFIX) or not LEAST_BYTES <= len(key) <= MOST_BYTES:
        detail = (
            f"secret {number} is not of the form whsec_ and base64 of {LEAST_BYTES} to {MOST_BYTES} octets; "
            "`postroom keygen --webhook` prints one"
        )
        raise SettingsException(ErrorCode.BAD_SETTINGS, {"detail": detail})
    return key
