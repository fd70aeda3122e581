"""The faults at the SMTP server: decided by the seed alone, rare enough to leave a mail its attempts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as some

from tests.chaos.mails import mail, number_of
from tests.chaos.smtp_faults import HOLD_S, Moment, hold_s, of_connection, of_transaction

SEEDS, NUMBERS = some.integers(0, 10**6), some.integers(0, 10**5)
MANY = 3000


@given(SEEDS, NUMBERS, some.integers(1, 9))
def test_the_seed_decides(seed: int, number: int, sighting: int) -> None:
    """The same question has the same answer, and from the third time on nothing befalls a mail."""
    assert of_connection(seed, number) == of_connection(seed, number)
    assert of_transaction(seed, number, sighting) == of_transaction(seed, number, sighting)
    assert sighting <= 2 or of_transaction(seed, number, sighting) is None
    assert HOLD_S[0] <= hold_s(seed, number, sighting) <= HOLD_S[1]


def test_every_moment_has_its_faults() -> None:
    """In a run of thousands, connections break at every point of the conversation, by FIN and by RST."""
    faults = [fault for number in range(MANY) if (fault := of_transaction(1, number, 1)) is not None]
    faults += [fault for number in range(MANY) if (fault := of_connection(1, number)) is not None]

    dropped = {(fault.at, fault.is_abrupt) for fault in faults if not fault.reply}
    assert dropped == {(moment, is_abrupt) for moment in Moment for is_abrupt in (False, True)}
    assert {fault.reply[:3] for fault in faults if fault.reply} == {"421", "450", "451", "452"}


@given(SEEDS, NUMBERS)
def test_a_mail_is_known_by_its_envelope(seed: int, number: int) -> None:
    """The number stands in the sender's address, and nobody gets a mail twice."""
    letter = mail(seed, number)

    assert letter == mail(seed, number)
    assert number_of(f"MAIL FROM:<{letter.sender}> SIZE=100") == number
    assert len({*letter.recipients}) == len(letter.recipients) > 0


def test_a_stranger_has_no_number() -> None:
    """An envelope that is not of the run is not taken for one."""
    assert number_of("MAIL FROM:<>") == -1
