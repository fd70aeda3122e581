"""The shared names in Redis: the transport goes by the same ones, and those without an expiry are known to be so."""

from postroom_broker import keys
from postroom_broker.transport.channel import Channel
from tests.support.leaked_keys import may_stay


def test_the_transport_goes_by_the_same_names() -> None:
    """What the ledger and the commands look for is where the transport puts it."""
    assert (Channel.unacked_key, Channel.unacked_index_key) == (keys.UNACKED, keys.UNACKED_INDEX)
    assert (Channel.delayed_key, Channel.delayed_messages_key, Channel.dead_key) == (
        *(keys.DELAYED, keys.DELAYED_MESSAGES, keys.DEAD),
    )


def test_each_of_them_may_stay_and_no_record_of_a_delivery_may() -> None:
    """They are gone when they are empty; what tells of workers and beats has an expiry, and so has a record."""
    names = {value for name, value in vars(keys).items() if name.isupper()}

    assert len(names) == 9
    assert {name for name in names if not may_stay(name)} == {keys.WORKERS, keys.BEATS, keys.BEAT_MARKS}
    assert not any(may_stay(name) for name in ("postroom.delivery.an-id", "postroom.idempotency.a-hash"))
