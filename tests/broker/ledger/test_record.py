"""A delivery's record: when it is over, and how long it is kept."""

import pytest

from postroom_broker.ledger.record import ENDED_EXPIRY_S, OPEN_EXPIRY_S, Record, record_key
from postroom_contract.outcome import OUTCOMES, State


@pytest.mark.parametrize("state", State)
def test_a_record_is_over_when_there_is_an_outcome(state: State) -> None:
    """Exactly in the final states."""
    assert Record(state).is_ended == (state in OUTCOMES)


def test_an_open_record_outlives_an_ended_one() -> None:
    """Whoever comes back late must still find that a message was called back."""
    assert OPEN_EXPIRY_S > 7 * 24 * 3600 > ENDED_EXPIRY_S == 24 * 3600


def test_a_record_is_found_by_the_delivery() -> None:
    """Its key is part of what operators see."""
    assert record_key("an-id") == "postroom.delivery.an-id"
