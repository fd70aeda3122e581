"""What happens on each turn of kombu's event loop: acknowledgements are told, mail is asked for, answers are read.

Owns the order of these. It takes the place of the stock poller's BRPOP handling and of its restoring of messages, which
the keeper does; kombu's hub, or a program's `drain_events`, calls it.
"""

from __future__ import annotations

import time
from typing import Any

from kombu.log import get_logger
from kombu.transport import redis as stock

from postroom_broker.transport.link import Link

logger = get_logger(__name__)


# The stubs of kombu leave out what is needed here.
StockPoller: Any = stock.MultiChannelPoller


class Poller(StockPoller):  # type: ignore[misc]
    """The poller of all channels of one connection."""

    def on_poll_start(self) -> None:
        """Tell what is done, then ask for as much as there are free slots."""
        for channel in tuple(self._channels):
            channel.custody.leases.flush()
            if channel.active_queues:
                channel.asking.ask()
            if channel.active_fanout_queues:
                self._register_LISTEN(channel)

    def on_poll_init(self, poller: Any) -> None:
        """Use the hub's poller. Nothing is restored here: who connects anew cannot know whose lease has lapsed."""
        self.poller = poller

    def maybe_restore_messages(self) -> None:
        """Leave it to the keeper, which does it at the right time and on a thread of its own."""

    def maybe_check_brpop_health(self) -> None:
        """Drop connections whose answer is overdue: those of a server that vanished without a word."""
        for channel in tuple(self._channels):
            for link in channel.asking.links():
                limit_s = channel.brpop_timeout + (channel.health_check_interval or 0)
                if link.is_waiting and time.monotonic() - link.asked_at > limit_s:
                    logger.warning("Redis gave no answer for %.0f s: the connection is dropped", limit_s)
                    link.close()

    def connect(self, channel: Any, link: Link) -> None:
        """Have a link connected and its socket watched."""
        if not self._client_registered(channel, link, link.role):
            link.asked_at = None
            self._register(channel, link, link.role)

    def on_readable(self, fileno: int) -> Any:
        """Read the answer that has come, whatever the number of free slots: a claim was for no more than there were."""
        if fileno not in self._fd_to_chan:
            return None
        channel, role = self._fd_to_chan[fileno]
        return channel.handlers[role]()
