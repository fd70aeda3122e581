"""Encrypted text: what a password is bound to, and that nothing shows what it holds."""

import copy
import pickle
from pathlib import Path
from typing import Any

import pytest

from postroom_contract.encrypted_text import EncryptedText, password_place
from postroom_contract.errors import SealException, SettingsException, UnencryptedTextException
from postroom_contract.sealing import generate_key
from tests.support.payloads import PASSWORD_KEYS

SERVER: dict[str, Any] = {"host": "smtp.example.com", "port": 587, "use_ssl": False, "username": "me@example.com"}


def encrypt(**server: Any) -> EncryptedText:
    """A password for `SERVER`, or for one that differs in what is given."""
    return EncryptedText.encrypt("secret", keyring=PASSWORD_KEYS, **{**SERVER, **server})


def test_a_password_opens_for_its_server() -> None:
    """Host, port, TLS mode and user name as they were."""
    assert encrypt().open(PASSWORD_KEYS, password_place(**SERVER)) == "secret"


@pytest.mark.parametrize(
    ("made_for", "used_for"),
    [
        ("SMTP.Example.COM", "smtp.example.com"),
        ("smtp.example.com.", "smtp.example.com"),
        ("münchen.de", "xn--mnchen-3ya.de"),
        ("MÜNCHEN.de", "xn--mnchen-3ya.de"),
        ("[2001:DB8::1]", "2001:db8:0::1"),
    ],
)
def test_a_host_is_the_same_however_it_is_written(made_for: str, used_for: str) -> None:
    """Case, a final dot, and the ways to write a name or an address make no other server."""
    for one, other in ((made_for, used_for), (used_for, made_for)):
        assert encrypt(host=one).open(PASSWORD_KEYS, password_place(**{**SERVER, "host": other})) == "secret"


@pytest.mark.parametrize(
    "other",
    [
        {"host": "evil.example.com"},
        {"port": 465},
        {"use_ssl": True},
        {"username": "you@example.com"},
        {"username": "ME@example.com"},
    ],
)
def test_a_password_opens_for_nothing_else(other: dict[str, Any]) -> None:
    """A stolen ciphertext cannot be sent to another host, port or TLS mode, or as another user."""
    with pytest.raises(SealException) as caught:
        encrypt().open(PASSWORD_KEYS, password_place(**{**SERVER, **other}))

    assert caught.value.reason == "tampered"


def test_a_password_is_not_a_text() -> None:
    """A bound password does not open as an unbound text, nor the other way round."""
    text = EncryptedText.encrypt("smtp.example.com", keyring=PASSWORD_KEYS)

    assert text.open(PASSWORD_KEYS) == "smtp.example.com"
    with pytest.raises(SealException):
        encrypt().open(PASSWORD_KEYS)
    with pytest.raises(SealException):
        text.open(PASSWORD_KEYS, password_place(**SERVER))


@pytest.mark.parametrize("given", [{"host": "h"}, {"port": 1}, {"username": "u"}, {"host": "h", "port": 1}])
def test_a_binding_is_whole_or_none(given: dict[str, Any]) -> None:
    """A half-bound password would open nowhere; it is refused at once."""
    with pytest.raises(TypeError, match="all three"):
        EncryptedText.encrypt("secret", keyring=PASSWORD_KEYS, **given)


@pytest.mark.parametrize("text", ["", "secret", "v1.k", None, 5, b"v1.k1." + b"A" * 60])
def test_what_is_not_encrypted_is_refused(text: Any) -> None:
    """Anything that is not of our form may be a secret in the clear, and is not repeated."""
    with pytest.raises(UnencryptedTextException) as caught:
        EncryptedText(text)

    assert (caught.value.error_code, caught.value.reason) == (1005, "not_sealed_text")
    assert "secret" not in f"{caught.value} {caught.value!r} {caught.value.args}"


def test_the_ring_is_that_of_the_environment_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """POSTROOM_PASSWORD_KEYS or its file; without either the mistake is told."""
    monkeypatch.delenv("POSTROOM_PASSWORD_KEYS", raising=False)
    monkeypatch.delenv("POSTROOM_PASSWORD_KEYS_FILE", raising=False)
    with pytest.raises(SettingsException, match="POSTROOM_PASSWORD_KEYS"):
        EncryptedText.encrypt("secret")
    (tmp_path / "keys").write_text(generate_key("file"))
    monkeypatch.setenv("POSTROOM_PASSWORD_KEYS_FILE", str(tmp_path / "keys"))

    assert EncryptedText.encrypt("secret").token.startswith("v1.file.")


def test_it_travels_and_compares_by_its_written_form() -> None:
    """Copies are equal, hash alike and still show nothing."""
    one = encrypt()
    for again in (copy.copy(one), pickle.loads(pickle.dumps(one)), EncryptedText(one.token)):  # noqa: S301
        assert again == one
        assert hash(again) == hash(one)
    assert one != encrypt()
    assert one != one.token
    assert (str(one), repr(one), f"{one}") == ("EncryptedText(...)",) * 3
