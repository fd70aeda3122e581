"""A connection that names its broker by the URL that an operator gave.

Owns that name alone. kombu would name the transport's class in the place of `redis`, which no person reads with pleasure and
Flower's page of queues does not understand.
"""

from __future__ import annotations

from typing import Any

from kombu import Connection

_OURS = "postroom_broker.transport:Transport://"


class NamedConnection(Connection):
    """kombu's connection, under a name of its own."""

    def as_uri(self, *args: Any, **options: Any) -> str:
        """The broker's URL; its password is hidden unless it is asked for."""
        uri = str(super().as_uri(*args, **options))
        return uri.replace(_OURS, "rediss://" if self.ssl else "redis://", 1)
