"""What takes messages back from dead workers, with the transport's own names, for tests in which no living worker does."""

from postroom_broker import keys
from postroom_broker.connection import connect
from postroom_broker.transport.names import Names, Terms
from postroom_broker.transport.returns import Returns

NAMES = Names(
    prefix="",
    unacked=keys.UNACKED,
    index=keys.UNACKED_INDEX,
    delayed=keys.DELAYED,
    delayed_messages=keys.DELAYED_MESSAGES,
    dead=keys.DEAD,
    bindings="_kombu.binding.%s",
    separator="\x06\x16",
    priority_steps=(0,),
)


def returns(url: str) -> Returns:
    """The returns of one server, with the worker's own terms."""
    return Returns(connect(url), NAMES, Terms(lease_s=20.0, most_deliveries=20))
