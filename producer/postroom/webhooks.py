"""For the receiver of a webhook: is this request from our Postroom, and what does it say?

Owns the check of its headers, by the public Standard Webhooks scheme, so that any other library for it does as well. Signing
is the worker's; the signature itself is the contract's.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from postroom_contract.news import News
from postroom_contract.webhook_signature import WebhookSecrets

__all__ = ["News", "UntrustedWebhook", "verify"]

# What the Standard Webhooks recommend: an old request, played again, is refused; clocks may differ by as much.
TOLERANCE_S = 300


class UntrustedWebhook(ValueError):
    """A request is not from this Postroom, was changed, or is too old: answer 401, and do nothing."""


def verify(headers: Mapping[str, str], body: bytes, secrets: str, *, tolerance_s: float = TOLERANCE_S) -> News:
    """What a request says, if it can be trusted.

    Args:
        headers: of the request, with names in any case.
        body: as it came, not read and written again.
        secrets: what POSTROOM_WEBHOOK_SECRETS of the worker has, or one of them.
        tolerance_s: how old it may be, and how far ahead the sender's clock.

    Raises:
        UntrustedWebhook: it cannot.
        SettingsException: a secret is malformed.
    """
    told = {name.lower(): value for name, value in headers.items()}
    message_id, written = told.get("webhook-id", ""), told.get("webhook-timestamp", "")
    if not written.isascii() or not written.isdigit() or abs(time.time() - int(written)) > tolerance_s:
        raise UntrustedWebhook("webhook-timestamp is missing, malformed, or too far from this machine's clock")
    known = WebhookSecrets.parse(secrets)
    if not known or not known.verify(message_id, int(written), body, told.get("webhook-signature", "")):
        raise UntrustedWebhook("webhook-signature is by none of the secrets")
    try:
        news = News.from_json(body)
    except ValueError as wrong:
        raise UntrustedWebhook("the body is no news of Postroom's") from wrong
    return news
