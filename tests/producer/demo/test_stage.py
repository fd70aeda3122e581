"""The stage: servers that are where the session details say, with the credentials they ask for."""

import smtplib
import socket
from pathlib import Path

import pytest

from postroom.demo.examples import SENDER, Example, Place, message
from postroom.demo.stage import PASSWORD, WRONG_PASSWORD, set_stage
from postroom.testing.certificates import CertificateKit
from postroom_contract.encrypted_text import EncryptedText, password_place
from postroom_contract.sealing import Keyring
from postroom_contract.session import BasicEmailSessionDetails


@pytest.mark.parametrize(
    ("has_right_password", "password"), [(True, PASSWORD), (False, WRONG_PASSWORD)], ids=["right", "wrong"]
)
def test_password_opens_for_the_place_it_is_for(tmp_path: Path, *, has_right_password: bool, password: str) -> None:
    """It is bound to port and TLS mode, so a wrong one is the server's to refuse and not ours."""
    example = Example("", message(), Place.STARTTLS, use_ssl=False, has_right_password=has_right_password)
    with set_stage(tmp_path) as stage:
        details = BasicEmailSessionDetails.accept(stage.session_for(example))
        port = stage.servers[Place.STARTTLS].port
    place = password_place("127.0.0.1", port, use_ssl=False, username=SENDER)
    token = details.model_dump(mode="json")["credentials"]["password"]

    assert EncryptedText(token).open(Keyring.parse(stage.password_keys), place) == password


def test_servers_let_the_sender_in_over_tls(tmp_path: Path) -> None:
    """Another SMTP client, which trusts the stage's authority, can log in at both."""
    with set_stage(tmp_path) as stage:
        context = CertificateKit().client_context()
        context.load_verify_locations(stage.ca_file)
        with smtplib.SMTP_SSL("127.0.0.1", stage.port_of(Place.TLS), context=context) as client:
            client.login(SENDER, PASSWORD)
        with smtplib.SMTP("127.0.0.1", stage.port_of(Place.STARTTLS)) as client:
            client.starttls(context=context)
            client.login(SENDER, PASSWORD)

        logins = [
            attempt.has_succeeded
            for server in stage.servers.values()
            for connection in server.connections
            for attempt in connection.auth_attempts
        ]
    assert logins == [True, True]


def test_closed_port_refuses_and_is_nobody_elses(tmp_path: Path) -> None:
    """A connection is refused at once, and no other program can begin to listen there."""
    with set_stage(tmp_path) as stage:
        address = ("127.0.0.1", stage.port_of(Place.CLOSED))
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address, timeout=10)
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind(address)


def test_worker_is_told_all_it_needs(tmp_path: Path) -> None:
    """Broker, keys, attachments and the authority to trust stand in its environment."""
    with set_stage(tmp_path) as stage:
        settings = stage.worker_settings("redis://here")

    assert settings["POSTROOM_BROKER_URL"] == "redis://here"
    assert settings["POSTROOM_KEYS"] != settings["POSTROOM_PASSWORD_KEYS"]
    assert Path(settings["SSL_CERT_FILE"]).read_text().startswith("-----BEGIN CERTIFICATE")
    assert sorted(path.name for path in Path(settings["POSTROOM_ATTACHMENT_ROOTS"]).iterdir()) == [
        "notes.txt",
        "picture.bin",
    ]
