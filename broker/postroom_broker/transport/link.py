"""A connection to Redis for one command at a time, whose answer the event loop waits for.

Owns sending the command and reading its answer. kombu's poller connects it and watches its socket; what is asked, and what
an answer means, is the channel's business.
"""

from __future__ import annotations

import time
from typing import Any

import redis
from redis.exceptions import ResponseError

from postroom_broker.transport.scripts import Argument


class LinkLost(Exception):
    """The connection ended; what was asked may have been done. The poller connects it anew."""


class Link:
    """One connection of a pool. Its names are those by which kombu's poller knows a client."""

    def __init__(self, pool: redis.ConnectionPool, role: str) -> None:
        self.connection_pool = pool
        self.connection: Any = None
        self.role = role
        self.asked_at: float | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether an answer is on its way."""
        return self.asked_at is not None

    def ask(self, *command: Argument) -> None:
        """Send a command."""
        self.asked_at = time.monotonic()
        try:
            self.connection.send_command(*command)
        except BaseException:
            self.close()
            raise

    def read(self) -> Any:
        """Return the answer.

        Raises:
            LinkLost: there is none, or none was asked for: either way the server has closed the connection.
            redis.exceptions.ResponseError: the server refused.
        """
        was_waiting, self.asked_at = self.is_waiting, None
        if not was_waiting:
            self.close()
            raise LinkLost
        try:
            return self.connection.read_response()
        except ResponseError:
            raise
        except (redis.exceptions.RedisError, OSError) as lost:
            self.close()
            raise LinkLost from lost

    def close(self) -> None:
        """Close the connection; the next use opens it again."""
        self.asked_at = None
        if self.connection is not None:
            self.connection.disconnect()
