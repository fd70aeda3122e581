"""Names that queued messages and operators' tools rely on: they may not change."""

from postroom_contract import names
from postroom_contract.message import EmailMessagePriority


def test_names_are_the_released_ones() -> None:
    """Renaming one would strand what is already queued, so each stands here a second time."""
    assert names.TASK_DELIVER == "postroom.deliver"
    assert names.QUEUES == ("postroom.urgent", "postroom.normal", "postroom.bulk")
    assert names.RESULT_KEY.format(id="x") == "celery-task-meta-x"
    assert names.DEFAULT_BROKER_URL == "redis://127.0.0.1:6379/0"


def test_every_priority_has_its_own_queue() -> None:
    """No priority is without a queue, and no queue without a priority."""
    assert names.QUEUE_OF_PRIORITY.keys() == set(EmailMessagePriority)
    assert sorted(names.QUEUE_OF_PRIORITY.values()) == sorted(names.QUEUES)
    assert names.QUEUE_OF_PRIORITY[EmailMessagePriority.Urgent] == names.QUEUE_URGENT
    assert names.QUEUE_OF_PRIORITY[EmailMessagePriority.NonUrgent] == names.QUEUE_BULK
