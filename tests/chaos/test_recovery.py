"""Recovery: what a dead worker held, and until when its mail waited."""

from __future__ import annotations

from tests.chaos.journal import Transaction
from tests.chaos.recovery import held, recovery_s

A, B, C, D = (f"{number}{'0' * 7}-0000-4000-8000-000000000000" for number in range(4))


def test_what_was_taken_and_not_finished_was_held() -> None:
    """Of Postroom's worker and of a stock one: the last that the log says of a delivery counts."""
    ours = [
        *(f"INFO/MainProcess] Task postroom.deliver[{each}] received" for each in (A, B, C)),
        f"INFO/MainProcess] delivery {A} is sent: code=None",
        f"INFO/MainProcess] delivery {B} is retrying: code=1200",
        f"INFO/MainProcess] Task postroom.deliver[{B}] received",
    ]
    stock = [
        *(f"INFO/MainProcess] Task stock.send[{each}] received" for each in (A, B, C, D)),
        f"INFO/MainProcess] Task stock.send[{A}] succeeded in 0.1s: {{}}",
        f"INFO/MainProcess] Task stock.send[{B}] retry: Retry in 1s: OSError()",
        f"ERROR/MainProcess] Task stock.send[{C}] raised unexpected: OSError()",
    ]

    assert held("\n".join(ours)) == {B, C}
    assert held("\n".join(stock)) == {D}


def test_recovery_ends_with_the_last_transaction_begun_after_the_kill() -> None:
    """What the dead worker itself still had open does not count, and without any mail there is nothing to recover."""
    by_mail = {
        1: [_transaction(began_at=9.0, ended_at=10.1), _transaction(began_at=31.0, ended_at=31.5)],
        2: [_transaction(began_at=32.0, ended_at=33.0)],
        3: [_transaction(began_at=50.0, ended_at=51.0)],
    }

    assert recovery_s(10.0, [1, 2], by_mail) == 23.0
    assert recovery_s(10.0, [], by_mail) is None
    assert recovery_s(10.0, [4], by_mail) is None


def _transaction(*, began_at: float, ended_at: float) -> Transaction:
    return Transaction(1, "w0-1", 1, 1, began_at, ended_at=ended_at)
