"""A connection for one command at a time."""

from typing import Any

import pytest

from postroom_broker.connection import translated
from postroom_broker.transport.link import Link, LinkLost
from postroom_contract.errors import BrokerUnavailable
from tests.support.redis_proxy import RedisProxy
from tests.support.valkey import ValkeyServer, connect


@pytest.fixture
def link(client: Any) -> Any:
    """A connected link."""
    link = Link(client.connection_pool, "TEST")
    link.connection = client.connection_pool.get_connection()
    yield link
    link.close()


def test_an_answer_is_read_once(link: Link) -> None:
    """Asked, waiting, answered."""
    link.ask("ECHO", "hello")
    assert (link.is_waiting, link.read(), link.is_waiting) == (True, b"hello", False)


def test_a_refusal_leaves_the_connection_alone(client: Any, link: Link) -> None:
    """An error of the server is an answer too."""
    link.ask("NONSENSE")
    with pytest.raises(BrokerUnavailable, match="unknown command"), translated(client):
        link.read()
    link.ask("ECHO", "hello")
    assert link.read() == b"hello"


def test_a_socket_that_speaks_unasked_has_ended(link: Link) -> None:
    """Nothing but the end of the connection makes it readable then."""
    with pytest.raises(LinkLost):
        link.read()


def test_a_lost_connection_is_told(server: ValkeyServer) -> None:
    """Whatever was asked may have been done; the next use connects anew."""
    with RedisProxy(server.port) as proxy, connect(proxy.url) as client:
        link = Link(client.connection_pool, "TEST")
        link.connection = client.connection_pool.get_connection()
        link.ask("BLPOP", "postroom.empty", "0")
        proxy.cut()
        with pytest.raises(LinkLost):
            link.read()
        assert not link.is_waiting
        link.ask("ECHO", "hello")
        assert link.read() == b"hello"
        link.close()


def test_closing_without_a_connection_does_nothing(client: Any) -> None:
    """A link that was never used."""
    Link(client.connection_pool, "TEST").close()
