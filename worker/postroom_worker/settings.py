"""The worker's settings: where Redis is, which keys open what, how patient it is with servers.

Owns the list of `POSTROOM_*` variables a worker reads, with their defaults and reasons. A wrong setting stops the start,
and every mistake is told at once. Retry defaults are the verdict table's own.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from postroom_broker.connection import read_urls
from postroom_contract.address import to_wire
from postroom_contract.attachment import MOST_ATTACHMENT_BYTES
from postroom_contract.environment import Environment
from postroom_contract.sign_of_life import read_alive_file
from postroom_contract.webhook_signature import WebhookSecrets

if TYPE_CHECKING:
    from collections.abc import Mapping

    from postroom_contract.sealing import Keyring

LogFormat = Literal["json", "text"]


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """Everything a worker process needs to know."""

    # Both may hold a password.
    broker_url: str = field(repr=False)
    result_url: str = field(repr=False)
    keyring: Keyring
    password_keyring: Keyring
    attachment_roots: tuple[Path, ...]
    most_attachment_bytes: int
    # Sends in flight in one process: coroutines are cheap, and most of the time each waits for a server.
    concurrency: int
    # How long SIGTERM lets sends in flight finish. What comes after takes up to 12 s more, and container platforms kill
    # after 30 s by default.
    drain_s: float
    # How long servers are waited for; `smtp.limits` has the defaults and their reasons.
    connect_timeout_s: float
    greeting_timeout_s: float
    command_timeout_s: float
    final_timeout_s: float
    # Outlooks's and Gmail's own limits lie at three to ten connections for one account; three is never refused.
    most_connections: int
    most_messages_per_connection: int
    # Amazon SES hangs up after ten idle seconds.
    most_idle_s: float
    most_age_s: float
    # What EHLO says; empty means this machine's name.
    ehlo_name: str
    # Where Prometheus may ask; port 0: nowhere. Loopback, because what waits is nobody's business on the network.
    metrics_host: str
    metrics_port: int
    log_format: LogFormat
    # The file that shows that the worker works.
    alive_file: Path | None
    # What webhooks are signed with, and where the calls of hosts' own Celery tasks go.
    webhook_secrets: WebhookSecrets
    on_outcome_broker_url: str = field(repr=False)

    @classmethod
    def from_env(cls, variables: Mapping[str, str] | None = None) -> Self:
        """Read the environment.

        Raises:
            SettingsException: something is missing or wrong; all of it is listed.
        """
        environment = Environment(variables)
        broker_url, result_url = read_servers(environment)
        keyring = environment.keyring("POSTROOM_KEYS")
        password_keyring = environment.keyring("POSTROOM_PASSWORD_KEYS")
        number, count = environment.number, environment.count
        read = {
            "result_url": result_url,
            "attachment_roots": _roots(environment),
            "most_attachment_bytes": count(
                "POSTROOM_MOST_ATTACHMENT_BYTES", MOST_ATTACHMENT_BYTES, least=1, most=MOST_ATTACHMENT_BYTES
            ),
            "concurrency": read_concurrency(environment),
            "drain_s": number("POSTROOM_DRAIN_S", 15, least=0, most=3600),
            "connect_timeout_s": number("POSTROOM_CONNECT_TIMEOUT_S", 15, least=0.1, most=300),
            "greeting_timeout_s": number("POSTROOM_GREETING_TIMEOUT_S", 60, least=0.1, most=600),
            "command_timeout_s": number("POSTROOM_COMMAND_TIMEOUT_S", 60, least=0.1, most=600),
            "final_timeout_s": number("POSTROOM_FINAL_TIMEOUT_S", 600, least=1, most=3600),
            "most_connections": count("POSTROOM_MOST_CONNECTIONS", 3, least=1, most=1000),
            "most_messages_per_connection": count(
                "POSTROOM_MOST_MESSAGES_PER_CONNECTION", 100, least=1, most=1_000_000
            ),
            "most_idle_s": number("POSTROOM_MOST_IDLE_S", 8, least=0, most=3600),
            "most_age_s": number("POSTROOM_MOST_AGE_S", 300, least=1, most=86400),
            "ehlo_name": read_ehlo_name(environment),
            "metrics_host": environment.text("POSTROOM_METRICS_HOST", "127.0.0.1"),
            "metrics_port": count("POSTROOM_METRICS_PORT", 0, least=0, most=65535),
            "log_format": read_log_format(environment),
            "alive_file": read_alive_file(environment),
            "webhook_secrets": _read_secrets(environment),
            "on_outcome_broker_url": environment.text("POSTROOM_ON_OUTCOME_BROKER_URL", broker_url),
        }
        environment.refuse_mistakes()
        assert keyring is not None and password_keyring is not None  # noqa: PT018 -- missing rings were refused above
        return cls(broker_url=broker_url, keyring=keyring, password_keyring=password_keyring, **read)  # type: ignore[arg-type]


def _read_secrets(environment: Environment) -> WebhookSecrets:
    text, name = environment.text("POSTROOM_WEBHOOK_SECRETS"), "POSTROOM_WEBHOOK_SECRETS"
    return environment.checked(lambda: WebhookSecrets.parse(text), name) or WebhookSecrets(())


def read_servers(environment: Environment) -> tuple[str, str]:
    """Where messages wait and where outcomes are kept, if Celery can reach it."""
    urls = read_urls(environment)
    if any(url.startswith("unix:") for url in urls):
        environment.mistakes.append("a worker reaches Redis by redis:// or rediss:// only, not by a Unix socket")
    return urls


def read_concurrency(environment: Environment) -> int:
    """How many sends may be in flight in one process."""
    return environment.count("POSTROOM_CONCURRENCY", 200, least=1, most=5000)


def read_log_format(environment: Environment) -> LogFormat:
    """The setting; without it, text on a terminal and JSON elsewhere."""
    told = environment.text("POSTROOM_LOG_FORMAT", "auto")
    if told == "json" or (told == "auto" and not sys.stderr.isatty()):
        return "json"
    if told not in {"text", "auto"}:
        environment.mistakes.append('POSTROOM_LOG_FORMAT is neither "json", "text" nor "auto"')
    return "text"


def _roots(environment: Environment) -> tuple[Path, ...]:
    roots = []
    for name in environment.text("POSTROOM_ATTACHMENT_ROOTS").split(os.pathsep):
        if not name:
            continue
        root = Path(name)
        if not root.is_absolute() or not root.is_dir():
            environment.mistakes.append(f"POSTROOM_ATTACHMENT_ROOTS: {name} is not the absolute path of a folder")
        else:
            roots.append(root)
    return tuple(roots)


def read_ehlo_name(environment: Environment) -> str:
    """What to say in EHLO; empty where it is not set."""
    name = environment.text("POSTROOM_EHLO_NAME")
    if name and to_wire(f"postmaster@{name}") is None:
        environment.mistakes.append("POSTROOM_EHLO_NAME is neither a domain nor an address literal")
    return name
