"""One call of a webhook, and what is made of what comes of it."""

from __future__ import annotations

import asyncio
import logging

import pytest

from postroom.testing import CertificateKit, SilentListener, SmtpServer, free_port
from postroom.webhooks import verify
from postroom_contract.destination import Webhook
from postroom_contract.news import News
from postroom_contract.outcome import State
from postroom_contract.webhook_signature import WebhookSecrets, generate_secret
from postroom_worker.news import webhook as module
from postroom_worker.news.judgement import Answer
from postroom_worker.news.webhook import WebhookCaller
from tests.support.receiver import Receiver

SECRET = generate_secret()
NEWS = News("0f8fad5b-d9cb-469f-a165-70867728950e", State.SENT)


def call(url: str, secrets: str = SECRET) -> Answer:
    """Call a webhook once."""

    async def calling() -> Answer:
        caller = WebhookCaller(WebhookSecrets.parse(secrets))
        answer = await caller.call(Webhook(url), NEWS)
        await caller.aclose()
        return answer

    return asyncio.run(calling())


def test_a_request_can_be_verified(caplog: pytest.LogCaptureFixture) -> None:
    """It says what it should, once, and no log has its URL."""
    with caplog.at_level(logging.DEBUG), Receiver() as receiver:
        answer = call(f"{receiver.url}?token=secret")

    [request] = receiver.requests
    assert (answer.status, answer.is_told) == (204, True)
    assert verify(request.headers, request.body, SECRET) == NEWS
    assert request.headers["webhook-id"] == NEWS.task_id
    assert "token=secret" not in caplog.text


def test_a_redirect_is_not_followed() -> None:
    """It could lead anywhere."""
    with Receiver() as receiver:
        receiver.script = lambda _: (307, {"location": receiver.url})
        answer = call(receiver.url)

    assert (answer.reason, len(receiver.requests)) == ("status_307", 1)


def test_without_a_secret_nothing_is_sent() -> None:
    """Nobody could tell the request from anybody's."""
    with Receiver() as receiver:
        answer = call(receiver.url, secrets="")

    assert (answer.reason, answer.is_charged, receiver.requests) == ("no_secret", False, [])


def test_nobody_there_is_a_vain_attempt() -> None:
    """In a word that does not quote the URL."""
    assert call(f"http://127.0.0.1:{free_port()}/?token=secret").reason == "ConnectError"


def test_silence_is_not_waited_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slot is needed for mail."""
    monkeypatch.setattr(module, "TIMEOUT_S", 0.2)
    with SilentListener() as listener:
        answer = call(f"http://127.0.0.1:{listener.port}/")

    assert answer.reason == "ReadTimeout"


def test_a_certificate_that_nobody_vouches_for_is_refused() -> None:
    """News goes to nobody but the receiver."""
    with SmtpServer(tls="implicit", ssl_context=CertificateKit().server_context()) as server:
        answer = call(f"https://localhost:{server.port}/")

    assert answer.reason == "ConnectError"
