"""For receivers: what is trusted, and what is not."""

from __future__ import annotations

import json
import time

import pytest

from postroom.webhooks import News, UntrustedWebhook, verify
from postroom_contract.outcome import State
from postroom_contract.webhook_signature import WebhookSecrets, generate_secret

SECRET = generate_secret()
NEWS = News("0f8fad5b-d9cb-469f-a165-70867728950e", State.SENT)


def request(body: bytes | None = None, *, age_s: int = 0) -> tuple[dict[str, str], bytes]:
    """Headers and body as the worker sends them."""
    said = json.dumps(NEWS.as_dict()).encode() if body is None else body
    then = int(time.time()) - age_s
    headers = {
        "Webhook-Id": NEWS.task_id,
        "Webhook-Timestamp": str(then),
        "Webhook-Signature": WebhookSecrets.parse(SECRET).sign(NEWS.task_id, then, said),
    }
    return headers, said


def test_a_request_of_ours_is_read() -> None:
    """Whatever the case of its headers."""
    headers, body = request()

    assert verify(headers, body, SECRET) == NEWS
    assert (
        verify({name.upper(): value for name, value in headers.items()}, body, f"{generate_secret()},{SECRET}") == NEWS
    )


@pytest.mark.parametrize("age_s", [301, -301])
def test_an_old_request_is_refused(age_s: int) -> None:
    """Somebody may have kept it; a clock far ahead is as bad."""
    headers, body = request(age_s=age_s)
    with pytest.raises(UntrustedWebhook, match="webhook-timestamp"):
        verify(headers, body, SECRET)

    assert verify(headers, body, SECRET, tolerance_s=1000) == NEWS


@pytest.mark.parametrize("missing", ["Webhook-Id", "Webhook-Timestamp", "Webhook-Signature"])
def test_a_request_without_its_headers_is_refused(missing: str) -> None:
    """Each of them is needed."""
    headers, body = request()
    del headers[missing]
    with pytest.raises(UntrustedWebhook):
        verify(headers, body, SECRET)


def test_a_changed_body_is_refused() -> None:
    """Also where it still reads well."""
    headers, body = request()
    with pytest.raises(UntrustedWebhook, match="by none of the secrets"):
        verify(headers, body.replace(b"sent", b"failed"), SECRET)
    with pytest.raises(UntrustedWebhook, match="by none of the secrets"):
        verify(headers, body, "")


def test_a_signed_body_that_is_no_news_is_refused() -> None:
    """The secret may be used for other things too."""
    headers, body = request(b'{"type": "invoice.paid"}')
    with pytest.raises(UntrustedWebhook, match="no news"):
        verify(headers, body, SECRET)
