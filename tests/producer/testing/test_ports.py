"""Ports without a server behind them, as a client meets them."""

import socket

import pytest

from postroom.testing import FullListener, SilentListener, free_port
from tests.producer.testing.wire import Wire


def test_a_connection_to_a_free_port_is_refused() -> None:
    """Nothing listens there."""
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", free_port()), 5)


def test_a_free_port_can_be_listened_on() -> None:
    """It is free for a server that starts later, too."""
    port = free_port()
    with socket.create_server(("127.0.0.1", port)) as listener:
        assert listener.getsockname()[1] == port


def test_a_silent_listener_takes_connections_and_says_nothing() -> None:
    """Whatever the client says."""
    with SilentListener() as listener, Wire(listener.port) as first, Wire(listener.port) as second:
        first.send("EHLO me.test")

        assert first.is_silent()
        assert second.is_silent()


def test_a_full_listener_leaves_a_client_waiting() -> None:
    """The connection neither comes about nor is refused."""
    with FullListener() as listener, pytest.raises(TimeoutError):
        socket.create_connection((listener.host, listener.port), 0.3)


@pytest.mark.parametrize("kind", [SilentListener, FullListener])
def test_a_stopped_listener_refuses(kind: type[SilentListener]) -> None:
    """The port is closed afterwards; stopping twice is no fault."""
    with kind() as listener:
        assert listener.port
    listener.stop()

    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((listener.host, listener.port), 5)
