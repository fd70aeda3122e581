"""The names of keys."""

from dataclasses import replace

from postroom_broker.transport.names import front_of
from tests.broker.transport.conftest import NAMES


def test_a_queue_has_a_list_for_each_step_of_priority() -> None:
    """As kombu names them: the lowest step has the queue's own name."""
    names = replace(NAMES, prefix="p:", priority_steps=(0, 3, 6, 9))
    assert [names.queue("q", priority) for priority in (0, 2, 3, 9)] == ["p:q", "p:q", "p:q\x06\x163", "p:q\x06\x169"]
    assert NAMES.queue("q", 9) == "q"


def test_the_front_of_a_queue_has_a_name_of_its_own() -> None:
    """Known to whoever claims."""
    assert front_of("q") == "q.front"
