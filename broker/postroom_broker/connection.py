"""Connections to Redis, and the translation of its errors.

Owns the two settings that say where Redis is, the client's timeouts, and the one place where redis-py's exceptions become
`BrokerUnavailable`. What is written to Redis and under which names is decided by the publisher and the results.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import redis
from redis.asyncio import Redis as AsyncRedis
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from postroom_contract.error_codes import ErrorCode
from postroom_contract.errors import BrokerUnavailable, SettingsException
from postroom_contract.names import DEFAULT_BROKER_URL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from postroom_contract.environment import Environment

# Together below 6 s, which is how long a web request may be made to wait for the news that Redis is away.
CONNECT_TIMEOUT_S = 2.0
COMMAND_TIMEOUT_S = 3.0

# A connection over a Unix socket knows neither.
_TCP_OPTIONS: dict[str, Any] = {"socket_connect_timeout": CONNECT_TIMEOUT_S, "socket_keepalive": True}

# Redis answered, so the command was not carried out: no memory left, read-only replica, no permission, still loading.
_REFUSALS = (
    redis.exceptions.AuthenticationError,
    redis.exceptions.BusyLoadingError,
    redis.exceptions.ResponseError,
)


def read_urls(environment: Environment) -> tuple[str, str]:
    """Where messages wait and where outcomes are kept; what is no Redis URL becomes one of the mistakes."""
    broker_url = environment.text("POSTROOM_BROKER_URL", DEFAULT_BROKER_URL)
    result_url = environment.text("POSTROOM_RESULT_URL", broker_url)
    # Where both are the same, one mistake is told once.
    for url, name in {result_url: "POSTROOM_RESULT_URL", broker_url: "POSTROOM_BROKER_URL"}.items():
        environment.checked(partial(connect, url), name)
    return broker_url, result_url


def read_broker_url(environment: Environment) -> str:
    """Where messages wait, for those who need nothing else."""
    url = environment.text("POSTROOM_BROKER_URL", DEFAULT_BROKER_URL)
    environment.checked(partial(connect, url), "POSTROOM_BROKER_URL")
    return url


def connect(url: str) -> redis.Redis:
    """A client for a Redis URL; it opens connections when they are needed, and new ones after a fork.

    Raises:
        SettingsException: the URL is none.
    """
    try:
        client = redis.Redis.from_url(
            url,
            socket_timeout=COMMAND_TIMEOUT_S,
            **({} if url.startswith("unix:") else _TCP_OPTIONS),
            # A command may have been carried out although its answer was lost: repeating one is never redis-py's choice.
            retry=Retry(NoBackoff(), 0),
        )
        # An option in the URL that redis-py does not know would come to light only at the first connection.
        client.connection_pool.connection_class(**client.connection_pool.connection_kwargs)
    except (ValueError, TypeError):
        # What redis-py says of it may quote a piece of a password that was not percent-encoded.
        detail = "it is not a Redis URL: write redis://[:password@]host[:port][/number], the password percent-encoded"
        raise SettingsException(ErrorCode.BAD_SETTINGS, {"detail": detail}) from None
    return client


def aconnect(url: str) -> AsyncRedis:
    """The same for an event loop; the URL has been through `connect` before. It belongs to the loop that first uses it."""
    return AsyncRedis.from_url(
        url,
        socket_timeout=COMMAND_TIMEOUT_S,
        **({} if url.startswith("unix:") else _TCP_OPTIONS),
        retry=AsyncRetry(NoBackoff(), 0),
    )


@contextmanager
def translated(
    client: redis.Redis | AsyncRedis, *, maybe_enqueued: bool = False, receipt_id: str | None = None
) -> Iterator[None]:
    """Turn redis-py's errors into `BrokerUnavailable`.

    Args:
        client: whose address the error names (without its password).
        maybe_enqueued: what a connection lost now would mean for the message.
        receipt_id: the delivery concerned.
    """
    facts: dict[str, object] = {"url": _address(client), "receipt_id": receipt_id, "retryable": True}
    try:
        yield
    except _REFUSALS as refused:
        # In front of a pipeline's answer redis-py quotes the command.
        answer = {"detail": f"It answered: {str(refused).rpartition(' caused error: ')[2]}"}
        raise BrokerUnavailable(ErrorCode.BROKER_UNAVAILABLE, {**facts, **answer, "maybe_enqueued": False}) from refused
    except (redis.exceptions.RedisError, OSError) as away:
        lost = {"detail": f"({type(away).__name__})", "maybe_enqueued": maybe_enqueued}
        raise BrokerUnavailable(ErrorCode.BROKER_UNAVAILABLE, {**facts, **lost}) from away


def without_password(url: str) -> str:
    """A Redis URL fit for a log."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=host, query="").geturl()


def _address(client: redis.Redis | AsyncRedis) -> str:
    options = client.connection_pool.connection_kwargs
    if "path" in options:
        return f"unix://{options['path']}"
    return f"redis://{options.get('host', 'localhost')}:{options.get('port', 6379)}/{options.get('db') or 0}"
