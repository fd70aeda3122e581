"""What becomes of a message that a consumer has taken: acknowledged, rejected, or handed back when the channel closes.

Owns the translation of kombu's calls into leases and returns; how many messages a consumer may hold is counted by kombu's
own class, from which this one inherits. kombu and Celery call it through the channel.
"""

from __future__ import annotations

from typing import Any

from kombu.transport import virtual

from postroom_broker.death_reasons import DeathReason

# The stubs of kombu leave out what is needed here.
StockQoS: Any = virtual.QoS


class QoS(StockQoS):  # type: ignore[misc]
    """The messages of one channel."""

    def ack(self, delivery_tag: str) -> None:
        """Have the message removed for good, with the others of this turn of the event loop."""
        self.channel.custody.leases.acknowledge(delivery_tag)
        super().ack(delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:  # noqa: FBT001, FBT002 -- kombu's signature
        """Return the message, or keep it among the dead: what a consumer refuses for good, an operator may want to see."""
        custody = self.channel.custody
        if requeue:
            custody.returns.hand_back([delivery_tag], in_vain=True)
        else:
            custody.returns.bury(delivery_tag, DeathReason.REJECTED)
        custody.leases.forget(delivery_tag)
        super().ack(delivery_tag)

    def restore_unacked(self) -> None:
        """Hand back all that is neither acknowledged nor rejected."""
        self._flush()
        self.channel.custody.hand_back(list(self._delivered))
        self._delivered.clear()

    def restore_unacked_once(self, stderr: Any = None) -> None:  # noqa: ARG002 -- kombu's signature
        """Hand back when the channel closes in good order; a connection that broke ends no work that has begun."""
        self._on_collect.cancel()
        if self.channel.is_abandoned:
            self.channel.custody.forget_unworked(list(self._delivered))
            return
        self.restore_unacked()

    def restore_visible(self, *_: Any, **__: Any) -> None:
        """Leave it to the keeper."""
