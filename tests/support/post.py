"""Postroom as an operator runs it: keys, a Redis, a real worker process, and the command line, ready for a test.

The worker is started by its own command with nothing but environment variables. `Post` also makes session details for
the SMTP servers a test has started, with passwords encrypted for them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from postroom import (
    Anonymous,
    BasicEmailSessionDetails,
    EmailMessage,
    EncryptedText,
    Keyring,
    Mailer,
    ServerDetails,
    UserCredentials,
)
from postroom.testing import SmtpServer
from postroom_contract.sealing import generate_key
from tests.support.celery_worker import CeleryWorker

USERNAME = "clerk@example.com"
PASSWORD = "correct horse"

# A command starts an interpreter, which on a loaded two-core machine has been seen to take seconds.
COMMAND_TIMEOUT_S = 60.0

ROOT = Path(__file__).parents[2]


class PostroomWorker(CeleryWorker):
    """A worker started by `python -m postroom_worker`."""

    def __init__(
        self,
        log_path: Path,
        environment: Mapping[str, str],
        options: Sequence[str] = (),
        *,
        starter: Sequence[str] = (),
    ) -> None:
        """Prepare a worker.

        Args:
            log_path: where its output goes.
            environment: variables for it, besides those of the test run.
            options: of `postroom worker`.
            starter: the interpreter's arguments, where they are to be other than `-m postroom_worker`.
        """
        super().__init__("postroom_worker", log_path, environment)
        self._command = [sys.executable, *(starter or ("-m", "postroom_worker")), *options]


@dataclass
class Post:
    """Keys, Redis and folders of one test; everything that runs gets its settings from `environment`."""

    redis_url: str
    folder: Path
    ca_file: Path
    more: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.keys = generate_key("seal")
        self.password_keys = generate_key("lock")
        self.attachments = self.folder / "attachments"
        self.attachments.mkdir(exist_ok=True)
        self.workers = 0

    @property
    def environment(self) -> dict[str, str]:
        """What a worker is started with; a producer needs all but the password keys and the roots."""
        return {
            "POSTROOM_BROKER_URL": self.redis_url,
            "POSTROOM_KEYS": self.keys,
            "POSTROOM_PASSWORD_KEYS": self.password_keys,
            "POSTROOM_ATTACHMENT_ROOTS": str(self.attachments),
            "SSL_CERT_FILE": str(self.ca_file),
            # Tests read the log as a person does.
            "POSTROOM_LOG_FORMAT": "text",
            **self.more,
        }

    def worker(self, *options: str, starter: Sequence[str] = (), **variables: str) -> PostroomWorker:
        """A worker process, not yet started."""
        self.workers += 1
        log = self.folder / f"worker-{self.workers}.log"
        return PostroomWorker(log, self.environment | variables, options, starter=starter)

    def mailer(self) -> Mailer:
        """A mailer in this process; the caller closes it."""
        return Mailer.from_env(self.environment)

    def session(
        self,
        server: SmtpServer | int,
        *,
        use_ssl: bool = True,
        username: str = USERNAME,
        password: str | None = PASSWORD,
        host: str = "localhost",
    ) -> BasicEmailSessionDetails:
        """Session details for a server (or a port); without a password, anonymous and in the clear."""
        port = server if isinstance(server, int) else server.port
        if password is None:
            details = ServerDetails(host=host, port=port, use_ssl=use_ssl, allow_cleartext=True)
            return BasicEmailSessionDetails(server_details=details, credentials=Anonymous())
        return BasicEmailSessionDetails(
            server_details=ServerDetails(host=host, port=port, use_ssl=use_ssl),
            credentials=UserCredentials(
                username=username,
                password=self.encrypt(password, port, use_ssl=use_ssl, username=username, host=host),
            ),
        )

    def encrypt(
        self, password: str, port: int, *, use_ssl: bool, username: str, host: str = "localhost"
    ) -> EncryptedText:
        """A password for a server."""
        ring = Keyring.parse(self.password_keys)
        return EncryptedText.encrypt(password, keyring=ring, host=host, port=port, use_ssl=use_ssl, username=username)

    def name_session(self, name: str, server: SmtpServer) -> None:
        """Let a name stand for a server with TLS from the first byte, in a sessions file of its own."""
        token = self.encrypt(PASSWORD, server.port, use_ssl=True, username=USERNAME).token
        lines = [f"[sessions.{name}]", 'host = "localhost"', f"port = {server.port}"]
        lines += [f'username = "{USERNAME}"', f'password = "{token}"', ""]
        file = self.folder / f"sessions-{name}.toml"
        file.write_text("\n".join(lines), encoding="utf-8")
        self.more["POSTROOM_SESSIONS_FILE"] = str(file)

    def run(self, *arguments: str, standard_input: str = "", timeout_s: float = COMMAND_TIMEOUT_S) -> Command:
        """Run a `postroom` command to its end."""
        ended = subprocess.run(
            [sys.executable, "-m", "postroom", *arguments],
            input=standard_input,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            env=os.environ | self.environment,
            check=False,
        )
        return Command(ended.returncode, ended.stdout, ended.stderr)


@dataclass(frozen=True)
class Command:
    """How a command ended."""

    exit_code: int
    output: str
    errors: str

    @property
    def answer(self) -> dict[str, Any]:
        """The JSON object on the last line of its output."""
        answer: dict[str, Any] = json.loads(self.output.splitlines()[-1])
        return answer


def a_message(number: int = 0, **changes: Any) -> EmailMessage:
    """A small message; `number` makes it tell itself from others."""
    fields: dict[str, Any] = {
        "to": [f"ann{number}@example.com"],
        "from_": "clerk@example.com",
        "subject": f"Letter {number}",
        "body": f"This is letter {number}.",
    }
    return EmailMessage(**(fields | changes))
