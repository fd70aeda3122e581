"""The stage that the demo plays on: SMTP servers, certificates, keys, attachments, and where each of them is.

Owns what must exist before a message can be sent, apart from the broker and the worker, and the session details that
lead to each place. What is sent stands in `examples`.
"""

import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from postroom.demo.examples import SENDER, Example, Place, write_attachments
from postroom.testing.certificates import CertificateKit
from postroom.testing.ports import HOST
from postroom.testing.smtp_server import SmtpServer
from postroom_contract.encrypted_text import EncryptedText
from postroom_contract.sealing import Keyring, generate_key

PASSWORD = "correct horse battery staple"  # noqa: S105 -- of a server that lives for twenty seconds
WRONG_PASSWORD = "correct horse battery stable"  # noqa: S105 -- as above


@dataclass(frozen=True)
class Stage:
    """Everything a message needs on its way, and the worker's and the mailer's keys."""

    servers: Mapping[Place, SmtpServer]
    closed_port: int
    attachments: Path
    ca_file: Path
    keys: str
    password_keys: str

    def port_of(self, place: Place) -> int:
        """The port of a place."""
        return self.closed_port if place is Place.CLOSED else self.servers[place].port

    def session_for(self, example: Example) -> dict[str, Any]:
        """The block's session details for an example."""
        port = self.port_of(example.place)
        password = EncryptedText.encrypt(
            PASSWORD if example.has_right_password else WRONG_PASSWORD,
            keyring=Keyring.parse(self.password_keys),
            host=HOST,
            port=port,
            use_ssl=example.use_ssl,
            username=SENDER,
        )
        return {
            "ServerDetails": {"Host": HOST, "Port": port, "UseSsl": example.use_ssl},
            "Credentials": {"Domain": None, "Username": SENDER, "Password": password.token},
        }

    def worker_settings(self, broker_url: str) -> dict[str, str]:
        """The worker's environment, as an operator would write it."""
        return {
            "POSTROOM_BROKER_URL": broker_url,
            "POSTROOM_KEYS": self.keys,
            "POSTROOM_PASSWORD_KEYS": self.password_keys,
            "POSTROOM_ATTACHMENT_ROOTS": str(self.attachments),
            "SSL_CERT_FILE": str(self.ca_file),
        }


@contextmanager
def set_stage(folder: Path) -> Iterator[Stage]:
    """Make keys, certificates and attachments, and run the SMTP servers.

    Args:
        folder: an empty one, for the files.
    """
    certificates = CertificateKit(folder)
    attachments = folder / "attachments"
    attachments.mkdir()
    write_attachments(attachments)
    users = {SENDER: PASSWORD}
    context = certificates.server_context()
    # Bound and never listening: connections are refused, and nobody else can take the port meanwhile.
    with (
        SmtpServer(tls="implicit", ssl_context=context, users=users, require_auth=True) as tls,
        SmtpServer(tls="starttls", ssl_context=context, users=users, require_auth=True) as starttls,
        socket.socket() as closed,
    ):
        closed.bind((HOST, 0))
        yield Stage(
            servers={Place.TLS: tls, Place.STARTTLS: starttls},
            closed_port=closed.getsockname()[1],
            attachments=attachments,
            ca_file=certificates.ca_file,
            keys=generate_key(),
            password_keys=generate_key(),
        )
