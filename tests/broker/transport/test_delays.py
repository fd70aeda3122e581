"""Delayed messages in a real Redis."""

import time
from typing import Any

from postroom_broker.transport.delays import MOST_PER_CALL, Delays
from tests.broker.transport.conftest import NAMES


def test_a_message_waits_until_it_is_due(client: Any) -> None:
    """It is neither in its queue before, nor in the store after."""
    delays = Delays(client, NAMES)
    delays.store("later", time.time() + 60, "postroom.q", "later\nmessage")
    wait_s = delays.promote()
    assert wait_s is not None
    assert 50 < wait_s <= 60
    assert client.llen("postroom.q") == 0
    delays.store("later", time.time() - 1, "postroom.q", "later\nmessage")
    assert delays.promote() is None
    assert client.lrange("postroom.q", 0, -1) == [b"later\nmessage"]
    assert client.exists(NAMES.delayed, NAMES.delayed_messages) == 0


def test_a_crowd_is_promoted_in_parts(client: Any) -> None:
    """The server is not held up by one call, and the caller learns that there is more."""
    delays = Delays(client, NAMES)
    for number in range(MOST_PER_CALL + 1):
        delays.store(str(number), 1.0, "postroom.q", "message")
    assert delays.promote() == 0
    assert delays.promote() is None
    assert client.llen("postroom.q") == MOST_PER_CALL + 1
