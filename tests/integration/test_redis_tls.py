"""Redis over TLS: `rediss://` is all it takes, on both sides, and a certificate that nobody vouches for is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from postroom.errors import BrokerUnavailable
from postroom.testing import CertificateKit, SmtpServer
from tests.support.post import Post, a_message
from tests.support.tls_front import TlsFront
from tests.support.valkey import ValkeyServer
from tests.support.waiting import wait_until


@pytest.fixture(autouse=True)
def _trusts(certificates: CertificateKit, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process trusts what the worker trusts."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.ca_file))


@pytest.mark.parametrize("results", ["the same server", "a URL of its own"])
def test_mail_goes_through_redis_over_tls(
    post: Post,
    valkey: ValkeyServer,
    tls_server: SmtpServer,
    certificates: CertificateKit,
    results: str,
) -> None:
    """The worker's broker connection too: kombu by itself would speak in the clear, password and all."""
    session = post.session(tls_server)
    with TlsFront(valkey.port, certificates.server_context()) as front:
        post.more["POSTROOM_BROKER_URL"] = f"rediss://localhost:{front.port}/0"
        if results == "a URL of its own":
            post.more["POSTROOM_RESULT_URL"] = f"rediss://localhost:{front.port}/1"
        with post.worker(), post.mailer() as mailer:
            assert mailer.send(a_message(), session).outcome(timeout=30).state == "sent"

        assert front.connections > 3


def test_a_stranger_in_the_place_of_redis_is_told_nothing(post: Post, valkey: ValkeyServer, tmp_path: Path) -> None:
    """Neither side speaks to it, and the worker waits."""
    (tmp_path / "stranger").mkdir()
    stranger = CertificateKit(tmp_path / "stranger").server_context()
    with TlsFront(valkey.port, stranger) as front:
        post.more["POSTROOM_BROKER_URL"] = f"rediss://localhost:{front.port}/0"
        with post.mailer() as mailer, pytest.raises(BrokerUnavailable):
            mailer.send(a_message(), post.session(25))
        worker = post.worker()
        worker.launch()
        wait_until(lambda: "Cannot connect to rediss://" in worker.log, 30, "the worker to say so")
        worker.kill()

        assert front.connections == 0
