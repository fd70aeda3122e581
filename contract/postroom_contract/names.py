"""The names that both sides, and operators' tools, rely on: task, queues and Redis keys.

Owns every name that appears in Redis or in Flower. Renaming one strands messages that are already queued, so a name
here changes only together with code that still understands the old one.
"""

from __future__ import annotations

from postroom_contract.message import EmailMessagePriority

TASK_DELIVER = "postroom.deliver"
# Tells a host that a delivery has ended.
TASK_TELL = "postroom.tell"

# Separate queues rather than priorities: a number means opposite things on Redis and on RabbitMQ.
QUEUE_URGENT = "postroom.urgent"
QUEUE_NORMAL = "postroom.normal"
QUEUE_BULK = "postroom.bulk"
QUEUES = (QUEUE_URGENT, QUEUE_NORMAL, QUEUE_BULK)
# What a worker takes from, the most urgent first: mail before the news of what became of it.
QUEUE_NEWS = "postroom.news"
ALL_QUEUES = (*QUEUES, QUEUE_NEWS)

QUEUE_OF_PRIORITY = {
    EmailMessagePriority.Urgent: QUEUE_URGENT,
    EmailMessagePriority.Normal: QUEUE_NORMAL,
    EmailMessagePriority.NonUrgent: QUEUE_BULK,
}

# Celery's own name for a stored result, a string with an expiry; its value is also published on a channel of that name.
RESULT_KEY = "celery-task-meta-{id}"

# Our own: the ledger's record of a delivery (hash, with an expiry), and the delivery that an idempotency key belongs to
# (string, with an expiry), named by a keyed hash of the key.
DELIVERY_KEY = "postroom.delivery.{id}"
IDEMPOTENCY_KEY = "postroom.idempotency.{digest}"

DEFAULT_BROKER_URL = "redis://127.0.0.1:6379/0"
