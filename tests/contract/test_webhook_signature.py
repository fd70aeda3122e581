"""The signature of a webhook's request, by the Standard Webhooks scheme."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest

from postroom_contract.errors import SettingsException
from postroom_contract.webhook_signature import WebhookSecrets, generate_secret

ONE, TWO = generate_secret(), generate_secret()


def test_it_is_what_the_scheme_says() -> None:
    """HMAC-SHA256 over id, time and body between dots, in base64 behind `v1,`: any other library reads it."""
    key = base64.b64decode(ONE.removeprefix("whsec_"))
    expected = base64.b64encode(hmac.new(key, b"msg_1.1614265330.{}", hashlib.sha256).digest()).decode()

    assert WebhookSecrets.parse(ONE).sign("msg_1", 1614265330, b"{}") == f"v1,{expected}"


def test_each_secret_is_enough_to_check() -> None:
    """So that secrets change one side at a time."""
    header = WebhookSecrets.parse(f"{ONE}, {TWO}").sign("m", 1, b"x")

    assert WebhookSecrets.parse(ONE).verify("m", 1, b"x", header)
    assert WebhookSecrets.parse(f"{generate_secret()} {TWO}").verify("m", 1, b"x", header)
    assert not WebhookSecrets.parse(generate_secret()).verify("m", 1, b"x", header)


@pytest.mark.parametrize(("message_id", "timestamp", "body"), [("n", 1, b"x"), ("m", 2, b"x"), ("m", 1, b"y")])
def test_whatever_is_changed_shows(message_id: str, timestamp: int, body: bytes) -> None:
    """The id and the time as well as the body."""
    secrets = WebhookSecrets.parse(ONE)

    assert not secrets.verify(message_id, timestamp, body, secrets.sign("m", 1, b"x"))


@pytest.mark.parametrize("header", ["", "v1,", "v2,x", "x", "v1,ü"])
def test_what_is_no_signature_is_none(header: str) -> None:
    """Nor does it raise."""
    assert not WebhookSecrets.parse(ONE).verify("m", 1, b"x", header)


@pytest.mark.parametrize(
    "secret", ["hush-hush", "whsec_", "whsec_!!!", "whsec_c2hvcnQ=", "c2hvcnQgYnV0IGxvbmcgZW5vdWdoIGZvciBvbmU="]
)
def test_a_malformed_secret_is_told_by_its_place(secret: str) -> None:
    """And not repeated."""
    with pytest.raises(SettingsException, match="secret 2 is not of the form") as caught:
        WebhookSecrets.parse(f"{ONE},{secret}")

    assert secret not in str(caught.value) or secret == "whsec_"


def test_none_is_none() -> None:
    """A worker without secrets knows that it has none."""
    assert not WebhookSecrets.parse("")
    assert WebhookSecrets.parse(ONE)
    assert ONE not in repr(WebhookSecrets.parse(ONE))
