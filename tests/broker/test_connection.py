"""Connections: URLs that are none, Redis's errors as ours, and that no password is shown."""

from pathlib import Path

import pytest

from postroom.testing import FullListener, SilentListener, free_port
from postroom_broker.connection import (
    COMMAND_TIMEOUT_S,
    CONNECT_TIMEOUT_S,
    connect,
    read_broker_url,
    translated,
    without_password,
)
from postroom_contract.environment import Environment
from postroom_contract.errors import BrokerUnavailable, SettingsException


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost",
        "localhost:6379",
        "http://localhost",
        "amqp://localhost",
        "redis://localhost:port/0",
        "redis://:canary@canary:secret/0",
        "redis://:can:ary#x@localhost:6379/0",
        "redis://localhost/0?db=canary",
        "redis://localhost/0?canary=1",
        "redis://localhost/0?socket_timeout=canary",
    ],
)
def test_a_url_that_is_none_stops_the_start_without_showing_it(url: str) -> None:
    """A typing error is told when the settings are read, and no piece of a password with it."""
    with pytest.raises(SettingsException, match="it is not a Redis URL") as caught:
        connect(url)

    assert "canary" not in f"{caught.value} {caught.value!r} {caught.value.__cause__}"


@pytest.mark.parametrize(
    "url",
    ["redis://localhost", "redis://u:p%40@localhost:1/7", "rediss://localhost/0", "unix:///run/redis.sock?db=1"],
)
def test_urls_of_every_kind(url: str) -> None:
    """Plain, with user and database, TLS, and a socket: nothing is connected yet."""
    connect(url).close()


@pytest.mark.parametrize(
    ("variables", "url", "mistakes"),
    [
        ({}, "redis://127.0.0.1:6379/0", 0),
        ({"POSTROOM_BROKER_URL": "redis://host/3", "POSTROOM_RESULT_URL": "nonsense"}, "redis://host/3", 0),
        ({"POSTROOM_BROKER_URL": "nonsense"}, "nonsense", 1),
    ],
)
def test_the_brokers_url_alone(variables: dict[str, str], url: str, mistakes: int) -> None:
    """Who needs only the broker is not told of other settings."""
    environment = Environment(variables)

    assert read_broker_url(environment) == url
    assert len(environment.mistakes) == mistakes


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://user:secret@host:6379/1?password=secret", "redis://host:6379/1"),
        ("rediss://:se@cret@host", "rediss://host"),
        ("redis://host/0", "redis://host/0"),
    ],
)
def test_a_url_for_the_log_has_no_password(url: str, shown: str) -> None:
    """Neither in front of the host nor in the query."""
    assert without_password(url) == shown


def test_a_web_request_is_not_made_to_wait_for_long() -> None:
    """A connection and an answer that both never come are given up within six seconds together."""
    assert CONNECT_TIMEOUT_S + COMMAND_TIMEOUT_S < 6


def test_a_client_that_works(redis_url: str) -> None:
    """Nothing is translated where nothing fails."""
    client = connect(redis_url)
    with translated(client):
        assert client.ping()
    client.close()


def unavailable(url: str, *, maybe_enqueued: bool = True) -> BrokerUnavailable:
    """The error of a command there."""
    client = connect(url)
    with pytest.raises(BrokerUnavailable) as caught, translated(client, maybe_enqueued=maybe_enqueued, receipt_id="d1"):
        client.ping()
    client.close()
    return caught.value


def test_nobody_listens() -> None:
    """A refused connection is told with the address, as a ConnectionError too, and may be tried again."""
    port = free_port()
    error = unavailable(f"redis://:canary@127.0.0.1:{port}/3")

    assert isinstance(error, ConnectionError)
    assert (error.error_code, error.maybe_enqueued, error.receipt_id, error.retryable) == (1400, True, "d1", True)
    assert f"redis://127.0.0.1:{port}/3" in str(error)
    assert "canary" not in f"{error} {error!r} {error.message} {error.args}"


@pytest.mark.parametrize("listener", [SilentListener, FullListener])
def test_a_listener_that_never_answers(listener: type[SilentListener]) -> None:
    """Silence after the connection, and a connection that never comes about, both end by timeout."""
    with listener() as silent:
        url = f"redis://{silent.host}:{silent.port}/0?socket_timeout=0.2&socket_connect_timeout=0.2"
        error = unavailable(url, maybe_enqueued=False)

    assert not error.maybe_enqueued
    assert "TimeoutError" in str(error)


def test_a_unix_socket_is_named_by_its_path(tmp_path: Path) -> None:
    """Without the user and the password that may stand before it."""
    error = unavailable(f"unix://user:canary@{tmp_path}/no.sock")

    assert f"unix://{tmp_path}/no.sock" in str(error)
    assert "canary" not in f"{error} {error.args}"


def test_what_redis_refuses_was_not_carried_out(redis_url: str) -> None:
    """An answer that says no is certain: nothing can have been queued, whatever was asked."""
    client = connect(redis_url)
    client.set("text", "x", ex=60)
    with pytest.raises(BrokerUnavailable) as caught, translated(client, maybe_enqueued=True):
        client.lpush("text", "y")
    client.close()

    assert not caught.value.maybe_enqueued
    assert "WRONGTYPE" in str(caught.value)
