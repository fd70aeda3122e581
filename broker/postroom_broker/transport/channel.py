"""The channel: what kombu's virtual channels do, done with leases.

Owns taking a claimed message apart for its consumer, and sending what is not yet due to where it waits. How mail is asked
for and what becomes of it later stand in modules of their own. kombu and Celery call it.
"""

from __future__ import annotations

import time
from typing import Any

import redis
from kombu.log import get_logger
from kombu.transport import redis as stock
from kombu.utils.json import dumps

from postroom_broker import keys
from postroom_broker.death_reasons import DeathReason
from postroom_broker.transport import envelope
from postroom_broker.transport.asking import Asking
from postroom_broker.transport.custody import Custody, custody_of
from postroom_broker.transport.names import Names, Terms, front_of
from postroom_broker.transport.qos import QoS
from postroom_broker.transport.scripts import DELAY, STEP_BACK

logger = get_logger(__name__)

# The stubs of kombu know little of what a transport overrides.
StockChannel: Any = stock.Channel


class Channel(StockChannel):  # type: ignore[misc]
    """A channel of our transport."""

    QoS = QoS

    # Stock options, with defaults for a broker that may vanish without closing a connection.
    socket_timeout = 15.0
    socket_connect_timeout = 5.0
    socket_keepalive = True
    health_check_interval = 10
    # How long a message stays with a worker that shows no life (s).
    visibility_timeout = 20.0
    # Options of our own: after how many deliveries in vain a message is dead, and the keys (names.py).
    delivery_limit = 20
    delayed_key = keys.DELAYED
    delayed_messages_key = keys.DELAYED_MESSAGES
    dead_key = keys.DEAD

    from_transport_options = (
        *StockChannel.from_transport_options,
        *("delivery_limit", "delayed_key", "delayed_messages_key", "dead_key"),
    )

    def __init__(self, *args: Any, **options: Any) -> None:
        self.is_abandoned = False
        self.asking = Asking(self)
        self._without_ack: set[str] = set()
        super().__init__(*args, **options)
        at = self.connection.client
        server = at.hostname, at.port, at.virtual_host, at.userid
        self._broker = (*server, self.global_keyprefix, self.unacked_key, self.visibility_timeout)
        self.custody = custody_of(self._broker, self._make_custody)

    def _after_fork(self) -> None:
        super()._after_fork()
        self.custody = custody_of(self._broker, self._make_custody)

    def _make_custody(self) -> Custody:
        prefix = self.global_keyprefix
        names = Names(
            prefix=prefix,
            unacked=prefix + self.unacked_key,
            index=prefix + self.unacked_index_key,
            delayed=prefix + self.delayed_key,
            delayed_messages=prefix + self.delayed_messages_key,
            dead=prefix + self.dead_key,
            bindings=self.keyprefix_queue,
            separator=self.sep,
            priority_steps=tuple(self.priority_steps),
        )
        client = redis.Redis(connection_pool=self._get_pool())
        return Custody(client, names, Terms(float(self.visibility_timeout), int(self.delivery_limit)))

    # Consuming

    def basic_consume(self, queue: str, no_ack: bool, *args: Any, **options: Any) -> Any:  # noqa: FBT001 -- kombu's
        """Consume from a queue."""
        if no_ack:
            self._without_ack.add(queue)
        elif queue not in self._fanout_queues:
            self.custody.keep()
        self.asking.look_again()
        return super().basic_consume(queue, no_ack, *args, **options)

    def _basic_cancel(self, consumer_tag: str) -> None:
        super()._basic_cancel(consumer_tag)
        if not self.active_queues and not self.closed:
            # A worker that ends has its last tasks to wait for; what it has not even seen need not wait with them.
            self.asking.close(is_abandoned=self.is_abandoned)

    def take(self, queue: str, lease: str, raw: bytes) -> None:
        """Give a claimed message to its consumer, or put it where it belongs if it is none or not yet due."""
        try:
            payload = envelope.read(raw)
        except envelope.UnreadableMessage:
            self.custody.returns.bury(lease, DeathReason.UNREADABLE)
            return
        due_at = envelope.due_at(payload)
        if due_at is not None and due_at > time.time():
            # A stock transport has queued it; a worker's memory is no place to wait.
            self._delay(queue, payload, due_at, lease)
            return
        if due_at is not None:
            # Celery puts whatever names a time into its timer, be it over or not, and forgets its timer when a connection
            # breaks: the lease would be renewed for ever, for a message that nobody works at.
            payload = envelope.without_eta(payload)
        self.custody.leases.hold(lease)
        payload["properties"]["delivery_tag"] = lease
        self.connection._deliver(payload, queue)  # noqa: SLF001 -- how a virtual transport delivers
        if queue in self._without_ack:
            self.custody.leases.acknowledge(lease)

    def basic_get(self, queue: str, no_ack: bool = False, **_: Any) -> Any:  # noqa: FBT001, FBT002 -- kombu's signature
        """Take one message at once, if there is any."""
        claimed = self.asking.claim_now(queue)
        if claimed is None:
            return None
        lease, raw = claimed
        payload = envelope.read(raw)
        payload["properties"]["delivery_tag"] = lease
        message = self.Message(payload, channel=self)
        self.custody.leases.hold(lease)
        if no_ack:
            self.custody.leases.acknowledge(lease)
            self.custody.leases.flush()
        else:
            self.custody.keep()
            self.qos.append(message, lease)
        return message

    # Publishing

    def _put(self, queue: str, message: dict[str, Any], **options: Any) -> None:
        due_at = envelope.due_at(message)
        if due_at is None or due_at <= time.time():
            super()._put(queue, message, **options)
        else:
            self._delay(queue, message, due_at, batch=options.get("_publish_batch"))

    def _delay(self, queue: str, message: dict[str, Any], due_at: float, lease: str = "", batch: Any = None) -> None:
        delays = self.custody.delays
        key = self.custody.names.queue(queue, self._get_message_priority(message, reverse=False))
        text = dumps(envelope.without_eta(message))
        if batch is None:
            delays.store(envelope.id_of(message), due_at, key, text, lease)
        else:
            keys, arguments = delays.command(envelope.id_of(message), due_at, key, text)
            batch.add("eval", DELAY.text, len(keys), *keys, *arguments)

    def _queue_bind(self, exchange: str, routing_key: str, pattern: str, queue: str) -> None:
        try:
            super()._queue_bind(exchange, routing_key, pattern, queue)
        except redis.exceptions.OutOfMemoryError:
            # Those who publish by exchange need it, and on a full server they cannot publish. Who consumes empties it.
            logger.warning("Redis has no memory for the binding of a queue: going on without")

    # What stands at the front of a queue belongs to it

    def _size(self, queue: str) -> int:
        fronts = sum(self.custody.client.llen(front_of(key)) for key in self._lists(queue))
        return int(super()._size(queue) + fronts)

    def _purge(self, queue: str) -> int:
        STEP_BACK(self.custody.client, [name for key in self._lists(queue) for name in (front_of(key), key)])
        return int(super()._purge(queue))

    def _delete(self, queue: str, *args: Any, **options: Any) -> None:
        self.custody.client.delete(*(front_of(key) for key in self._lists(queue)))
        super()._delete(queue, *args, **options)

    def _lists(self, queue: str) -> list[str]:
        return [self.custody.names.queue(queue, step) for step in self.priority_steps]

    # The end of connections

    def _on_connection_disconnect(self, connection: Any) -> None:
        super()._on_connection_disconnect(connection)
        self.asking.note_disconnect(connection)

    def _poll_error(self, role: str, **options: Any) -> Any:
        return super()._poll_error(role, **options) if role == "LISTEN" else self.handlers[role]()

    def close(self) -> None:
        """Close the connections; in good order, hand back what was taken and not finished."""
        if not self.closed:
            self.asking.close(is_abandoned=self.is_abandoned)
        super().close()
