"""Fixtures of the whole system: certificates, a post with keys and Redis, SMTP servers with TLS and AUTH."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from postroom.testing import CertificateKit, SmtpServer
from tests.support.post import PASSWORD, USERNAME, Post


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> CertificateKit:
    """One certificate authority for the whole run."""
    return CertificateKit(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def post(redis_url: str, tmp_path: Path, certificates: CertificateKit) -> Post:
    """Keys, Redis and folders for one test."""
    return Post(redis_url, tmp_path, certificates.ca_file)


@pytest.fixture
def tls_server(certificates: CertificateKit) -> Iterator[SmtpServer]:
    """A server with TLS from the first byte and one user."""
    users = {USERNAME: PASSWORD}
    with SmtpServer(
        tls="implicit", ssl_context=certificates.server_context(), users=users, require_auth=True
    ) as server:
        yield server


@pytest.fixture
def starttls_server(certificates: CertificateKit) -> Iterator[SmtpServer]:
    """A server that offers STARTTLS, and AUTH behind it."""
    users = {USERNAME: PASSWORD}
    with SmtpServer(
        tls="starttls", ssl_context=certificates.server_context(), users=users, require_auth=True
    ) as server:
        yield server
