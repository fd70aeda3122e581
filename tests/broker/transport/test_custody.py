"""What a process holds of a broker."""

import os
from typing import Any

from postroom_broker.transport import custody
from postroom_broker.transport.custody import Custody, custody_of
from postroom_broker.transport.names import Terms
from tests.broker.transport.conftest import NAMES, message
from tests.support.valkey import connect


def make(url: str) -> Custody:
    """Return a custody of a server."""
    return Custody(connect(url), NAMES, Terms(20.0, 20))


def take(client: Any, held: Custody, *names: str) -> None:
    """Hold messages under leases of these names."""
    for name in names:
        client.hset(NAMES.unacked, name, f'[{message(name, "postroom.q")},"","postroom.q"]')
        client.zadd(NAMES.index, {name: 1})
        held.leases.hold(name)


def test_there_is_one_for_each_broker(url: str) -> None:
    """Every channel of the process gets the same."""
    assert custody_of("a", lambda: make(url)) is custody_of("a", lambda: make(url))
    assert custody_of("a", lambda: make(url)) is not custody_of("b", lambda: make(url))
    for name in "ab":
        custody._custodies.pop(name).end()


def test_the_end_hands_back_what_is_left(url: str, client: Any) -> None:
    """Acknowledged messages are gone, the others are in their queue."""
    held = make(url)
    held.keep()
    held.keep()
    take(client, held, "done", "left")
    held.leases.acknowledge("done")
    held.end()
    assert client.llen("postroom.q") == 1
    assert client.exists(NAMES.unacked) == 0


def test_only_what_is_still_held_is_handed_back(url: str, client: Any) -> None:
    """A message acknowledged meanwhile, or of another channel, is left alone."""
    held = make(url)
    take(client, held, "done", "mine", "other")
    held.leases.acknowledge("done")
    held.hand_back(["done", "mine"])
    assert client.hkeys(NAMES.unacked) == [b"other"]
    assert client.llen("postroom.q") == 1
    assert held.leases.held() == ["other"]
    held.end()


def test_an_end_without_a_broker_is_quiet() -> None:
    """The messages come back when their leases lapse."""
    held = make("redis://127.0.0.1:1/0")
    held.leases.hold("mine")
    held.end()
    assert held.leases.held() == []


def test_a_forked_child_holds_nothing_of_its_parent(url: str, client: Any) -> None:
    """It makes a custody of its own, and its end hands back nothing of its parent's."""
    held = custody_of("a", lambda: make(url))
    take(client, held, "mine")
    child = os.fork()
    if child == 0:
        held.end()
        os._exit(0 if not custody._custodies else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert client.hlen(NAMES.unacked) == 1
    custody._custodies.pop("a").end()
    assert client.hlen(NAMES.unacked) == 0


def test_life_is_what_the_program_says() -> None:
    """Without a word the process is taken to be alive."""
    assert custody.shows_life()
    custody.renew_only_while(lambda: False)
    assert not custody.shows_life()
    custody.renew_only_while(lambda: True)
