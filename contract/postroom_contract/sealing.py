"""Key rings, and the one place where Postroom encrypts and decrypts.

Owns the sealed text's form, `v1.<key id>.<base64url(nonce, ciphertext, tag)>`: AES-256-GCM with a random 96-bit nonce
and associated data that binds the text to its place. Who may hold which ring is the settings' business. The promise:
a text sealed by any released version opens for as long as its key is in the ring.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import re
import secrets
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from postroom_contract.error_codes import ErrorCode
from postroom_contract.errors import SealException, SettingsException
from postroom_contract.text import STANDARD_BASE64

if TYPE_CHECKING:
    from collections.abc import Mapping

VERSION = "v1"
# AES-256: the key length that every Python with `cryptography` offers and no audit questions.
KEY_BYTES = 32
# The nonce length GCM is defined for (NIST SP 800-38D section 5.2.1.1).
NONCE_BYTES = 12
# Half of SHA-256: no two of a day's billions of messages will ever share one.
DIGEST_BYTES = 16
KEY_ID = re.compile(r"[A-Za-z0-9_-]{1,32}")
KEY_ID_FORM = "1 to 32 of A-Z a-z 0-9 _ -"
SEALED_TEXT = re.compile(r"v1\.([A-Za-z0-9_-]{1,32})\.([A-Za-z0-9_-]{38,})")


class Keyring:
    """Named keys: the first seals, all of them open."""

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        """Take the keys in order of rank.

        Args:
            keys: key id to 32 key bytes; the first is used to seal. No error repeats a key id: it may be a key, misplaced.

        Raises:
            SettingsException: no key, a malformed key id, or a key of another length.
        """
        if not keys:
            raise _bad_ring("a key ring needs at least one key; `postroom keygen` prints one")
        for number, (kid, key) in enumerate(keys.items(), start=1):
            if not KEY_ID.fullmatch(kid):
                raise _bad_ring(f"the id of key {number} is not {KEY_ID_FORM}")
            if len(key) != KEY_BYTES:
                raise _bad_ring(f"key {number} has {len(key)} bytes; a key has {KEY_BYTES}")
        self._ciphers = {kid: AESGCM(key) for kid, key in keys.items()}
        # A key of their own for hashes, so that no key serves two algorithms.
        self._hash_keys = [hmac.digest(key, b"postroom digest v1", "sha256") for key in keys.values()]
        self.first_id = next(iter(keys))

    @classmethod
    def parse(cls, text: str) -> Keyring:
        """Read a ring from its written form: `kid:base64` entries between commas or white space."""
        keys: dict[str, bytes] = {}
        for number, entry in enumerate(filter(None, re.split(r"[,\s]+", text)), start=1):
            kid, _, encoded = entry.partition(":")
            if kid in keys:
                raise _bad_ring(f"key {number} has the id of an earlier one")
            try:
                keys[kid] = base64.b64decode(encoded.translate(STANDARD_BASE64), validate=True)
            except ValueError:  # not base64, or not even ASCII
                encoded = ""
            if not encoded:
                raise _bad_ring(f"key {number} is not of the form kid:base64; `postroom keygen` prints one") from None
        return cls(keys)

    @property
    def ids(self) -> tuple[str, ...]:
        """The key ids, first the one that seals."""
        return tuple(self._ciphers)

    def seal(self, plain: bytes, bound_to: Mapping[str, object]) -> str:
        """Encrypt under the first key, bound to a place: only the same `bound_to` opens it again."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        sealed = nonce + self._ciphers[self.first_id].encrypt(nonce, plain, _associated(self.first_id, bound_to))
        return f"{VERSION}.{self.first_id}.{base64.urlsafe_b64encode(sealed).rstrip(b'=').decode()}"

    def open(self, sealed: str, bound_to: Mapping[str, object]) -> bytes:
        """Decrypt what `seal` made.

        Raises:
            SealException: with the reason `not_sealed_text`, `unknown_key` or `tampered`.
        """
        form = SEALED_TEXT.fullmatch(sealed)
        if form is None:
            raise SealException(ErrorCode.SEAL_BROKEN, {"reason": "not_sealed_text"})
        kid, encoded = form.groups()
        cipher = self._ciphers.get(kid)
        if cipher is None:
            raise SealException(ErrorCode.SEAL_BROKEN, {"reason": "unknown_key"})
        try:
            raw = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
            return cipher.decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], _associated(kid, bound_to))
        except (InvalidTag, binascii.Error):
            raise SealException(ErrorCode.SEAL_BROKEN, {"reason": "tampered"}) from None

    def digests(self, text: str, use: str) -> tuple[str, ...]:
        """Keyed hashes of a text, one by each key, the sealing key's first: without the keys nobody can try texts out.

        A hash that was stored before a rotation is found under the older key.
        """
        told = f"{use}\n{text}".encode()
        return tuple(hmac.digest(key, told, "sha256")[:DIGEST_BYTES].hex() for key in self._hash_keys)

    def __repr__(self) -> str:
        """Show key ids, never keys."""
        return f"Keyring({', '.join(self.ids)})"


def generate_key(kid: str | None = None) -> str:
    """A new key in its written form, `kid:base64`, ready for a ring."""
    name = kid or f"k{secrets.token_hex(4)}"
    if not KEY_ID.fullmatch(name):
        raise _bad_ring(f"a key id is {KEY_ID_FORM}")
    return f"{name}:{base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()}"


def _bad_ring(detail: str) -> SettingsException:
    return SettingsException(ErrorCode.BAD_SETTINGS, {"detail": detail})


def _associated(kid: str, bound_to: Mapping[str, object]) -> bytes:
    # Canonical JSON: both sides must arrive at the same bytes whatever order they were given in.
    place = {"v": VERSION, "kid": kid, **bound_to}
    return json.dumps(place, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()
