"""The transport: what kombu makes when a URL or `broker_transport` names it.

Owns how a connection ends: in good order, with everything handed back, or broken, with nothing touched, because what a
worker does goes on without a broker. All else is the channel's and the poller's.
"""

from __future__ import annotations

from typing import Any

from kombu.transport import redis as stock

from postroom_broker.transport.channel import Channel
from postroom_broker.transport.poller import Poller

# The stubs of kombu leave out what is needed here.
StockTransport: Any = stock.Transport


class Transport(StockTransport):  # type: ignore[misc]
    """Redis, with leases."""

    Channel = Channel

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.cycle = Poller()

    def _collect(self, connection: Any) -> None:
        """Drop a connection that broke (kombu calls this instead of closing it)."""
        for channel in (*self.channels, *self._avail_channels):
            channel.is_abandoned = True
        self.close_connection(connection)
