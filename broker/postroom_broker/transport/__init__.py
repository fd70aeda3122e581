"""A kombu transport for plain `redis://` that loses no message and runs none twice without need.

Set `broker_transport = "postroom_broker.transport:Transport"`. It keeps the keys of kombu's own Redis transport, so that a
queue filled by one is drained by the other; beside them it claims messages under a lease in one step, renews leases while
the process shows life, and lets messages that are not yet due wait in Redis.
"""

from __future__ import annotations

from postroom_broker.transport.channel import Channel
from postroom_broker.transport.custody import (
    hand_back,
    keepers_stand_still_s,
    renew_only_while,
    shows_life,
    work_is,
)
from postroom_broker.transport.redis_transport import Transport
from postroom_broker.transport.uri import NamedConnection

__all__ = [
    "Channel",
    "NamedConnection",
    "Transport",
    "hand_back",
    "keepers_stand_still_s",
    "renew_only_while",
    "shows_life",
    "work_is",
]
