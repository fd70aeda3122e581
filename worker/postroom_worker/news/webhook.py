"""Calls to webhooks: a signed POST, and what came of it.

Owns the HTTP client (httpx2's home) and its limits. Redirects are not followed and answers not read: a host says all there is to
say by its status. What follows from that is `judgement`'s.
"""

from __future__ import annotations

import json
import logging
import ssl
import time
from typing import TYPE_CHECKING

import httpx2

from postroom_worker.news.judgement import Answer, answer_of

if TYPE_CHECKING:
    from postroom_contract.destination import Webhook
    from postroom_contract.news import News
    from postroom_contract.webhook_signature import WebhookSecrets

# A receiver answers before it works (the Standard Webhooks say 15 to 30 s at the most); a slow one keeps a slot meanwhile.
TIMEOUT_S = 10.0
CONNECT_TIMEOUT_S = 5.0

# Both log what they ask for, and a URL may hold a token.
for _logger in ("httpx2", "httpcore2"):
    logging.getLogger(_logger).setLevel(logging.WARNING)


class WebhookCaller:
    """Calls webhooks over connections that are kept open. It belongs to one event loop; end it with `aclose`."""

    def __init__(self, secrets: WebhookSecrets) -> None:
        self._secrets = secrets
        self._client: httpx2.AsyncClient | None = None

    async def call(self, webhook: Webhook, news: News) -> Answer:
        """Tell a webhook, once."""
        if not self._secrets:
            # The receiver could not tell it from anybody's. It waits for the setting and is not lost.
            return Answer(reason="no_secret", retry_after_s=60.0, is_charged=False)
        body = json.dumps(news.as_dict()).encode()
        timestamp = int(time.time())
        headers = {
            "content-type": "application/json",
            "user-agent": "Postroom",
            "webhook-id": news.task_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": self._secrets.sign(news.task_id, timestamp, body),
        }
        try:
            async with self._open().stream("POST", webhook.url, content=body, headers=headers) as answer:
                return answer_of(answer.status_code, answer.headers.get("retry-after", ""))
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as failed:
            # Its text may hold the URL.
            return Answer(reason=type(failed).__name__)

    async def aclose(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.aclose()

    def _open(self) -> httpx2.AsyncClient:
        if self._client is None:
            self._client = httpx2.AsyncClient(
                timeout=httpx2.Timeout(TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
                follow_redirects=False,
                verify=ssl.create_default_context(),
            )
        return self._client
