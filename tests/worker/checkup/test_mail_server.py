"""The check of a mail server: how far it goes, with keys and without. `tests/integration/test_doctor` has the breakages."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from postroom import Anonymous, BasicEmailSessionDetails, EncryptedText, Keyring, ServerDetails, UserCredentials
from postroom.testing import CertificateKit, SmtpServer, at
from postroom_contract.finding import Finding
from postroom_contract.finding_codes import FindingCode
from postroom_contract.sealing import generate_key
from postroom_worker.checkup.mail_server import Visit, check_mail_server, sender_of

USER, PASSWORD = "clerk@example.com", "correct horse"
RING = Keyring.parse(generate_key("lock"))


def details(port: int, *, host: str | EncryptedText = "localhost", username: Any = USER) -> BasicEmailSessionDetails:
    """A session with TLS from the first byte."""
    password = EncryptedText.encrypt(PASSWORD, keyring=RING, host="localhost", port=port, username=USER)
    return BasicEmailSessionDetails(
        server_details=ServerDetails(host=host, port=port),
        credentials=UserCredentials(username=username, password=password),
    )


def check(visit: Visit) -> list[FindingCode]:
    """What is found."""
    found: list[Finding] = []
    asyncio.run(check_mail_server(visit, found.append))
    return [finding.code for finding in found]


@pytest.fixture
def trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CertificateKit:
    """An authority that this process trusts."""
    kit = CertificateKit(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(kit.ca_file))
    return kit


def test_all_of_it_encrypted(trusted: CertificateKit) -> None:
    """Host and user name may be sealed too; the sender is then found in the opened name."""
    with SmtpServer(tls="implicit", ssl_context=trusted.server_context(), users={USER: PASSWORD}) as server:
        host, name = (EncryptedText.encrypt(text, keyring=RING) for text in ("localhost", USER))
        visit = Visit("shop", details(server.port, host=host, username=name), RING)

        assert check(visit) == ["server_reached", "login_accepted", "sender_accepted"]
        assert check(Visit("shop", visit.details, None)) == ["login_unchecked"]
        assert server.connections[0].commands[2] == f"MAIL FROM:<{USER}>"


def test_without_keys_it_goes_as_far_as_the_login(trusted: CertificateKit) -> None:
    """What the server is and offers is told; nobody logs in, and MAIL is not tried."""
    with SmtpServer(tls="implicit", ssl_context=trusted.server_context(), users={USER: PASSWORD}) as server:
        assert check(Visit("shop", details(server.port), None)) == ["login_unchecked", "server_reached"]
        assert server.connections[0].verbs == ("EHLO", "QUIT")


def test_without_keys_clear_text_and_missing_logins_are_told_all_the_same() -> None:
    """They are wrong whatever the password is."""
    with SmtpServer() as server:
        place = ServerDetails(host="localhost", port=server.port, use_ssl=False)
        plain = details(server.port).model_copy(update={"server_details": place})
        in_clear = place.model_copy(update={"allow_cleartext": True})
        allowed = plain.model_copy(update={"server_details": in_clear})

        assert check(Visit("shop", plain, None))[-1] == "starttls_not_offered"
        assert check(Visit("shop", allowed, None))[-2:] == ["clear_text", "login_not_offered"]


def test_anonymous_relay() -> None:
    """Nobody logs in, and the sender has to be told."""
    with SmtpServer() as server:
        place = ServerDetails(host="localhost", port=server.port, use_ssl=False)
        relay = BasicEmailSessionDetails(server_details=place, credentials=Anonymous())

        assert check(Visit("relay", relay, None)) == ["server_reached", "sender_unknown"]
        assert check(Visit("relay", relay, None, "ann@example.com")) == ["server_reached", "sender_accepted"]


def test_server_that_hangs_up_at_mail(trusted: CertificateKit) -> None:
    """What was found before is not lost."""
    options: dict[str, Any] = {"tls": "implicit", "ssl_context": trusted.server_context(), "users": {USER: PASSWORD}}
    with SmtpServer(rules=[at("MAIL").drop()], **options) as server:
        found = check(Visit("shop", details(server.port), RING))

    assert found == ["server_reached", "login_accepted", "connection_lost"]


@pytest.mark.parametrize(
    ("sender", "username", "expected"),
    [
        (None, USER, USER),
        ("ann@example.com", USER, "ann@example.com"),
        (None, "apikey", None),
        ("ann@example.com>\r\nRCPT TO:<eve@example.com", USER, None),
    ],
)
def test_sender(sender: str | None, username: str, expected: str | None) -> None:
    """The one that was told, else the user; what is no address is nobody."""
    assert sender_of(Visit("shop", details(465, username=username), RING, sender)) == expected
