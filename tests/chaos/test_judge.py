"""The judge: what is lost, doubled, flagged without a cause or told wrongly, by table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from tests.chaos.journal import Transaction
from tests.chaos.judge import Handover, Judgement, Posted, Struck, Told, judge, widened

ANN, BOB = "ann@chaos.example", "bob@chaos.example"


def accepted(*recipients: str, **changes: Any) -> Transaction:
    """A transaction that ended with the server's 250."""
    return _transaction(
        **{"admitted": [*(recipients or (ANN,))], "accepted_at": 2.0, "replied_at": 2.0, "code": 250, **changes}
    )


def broken(*, is_kept: bool = False, **changes: Any) -> Transaction:
    """A transaction that broke after its last byte; the server may have kept the message."""
    return _transaction(**{"admitted": [ANN], "accepted_at": 2.0 if is_kept else None, **changes})


def broken_in_body() -> Transaction:
    """A transaction that broke while the message was on its way."""
    return _transaction(admitted=[ANN], last_byte_at=None)


def refused(*recipients: str, code: int = 550) -> Transaction:
    """A transaction in which these recipients were refused."""
    return _transaction(refused=dict.fromkeys(recipients, code), body_at=None, last_byte_at=None)


def _transaction(**changes: Any) -> Transaction:
    told: dict[str, Any] = {
        "connection": 1,
        "worker": "w0-1",
        "mail": 7,
        "sighting": 1,
        "began_at": 1.0,
        "message_id": "<1@chaos.example>",
        "body_at": 1.1,
        "last_byte_at": 1.2,
        "ended_at": 2.0,
    }
    return Transaction(**(told | changes))


def ruled(
    transactions: Sequence[Transaction],
    told: Told | None,
    *,
    recipients: tuple[str, ...] = (ANN,),
    handover: Handover = Handover.RECEIPT,
    struck: Sequence[Struck] = (),
) -> Judgement:
    """What the judge says of one mail."""
    return judge([Posted(7, recipients, handover)], transactions, {} if told is None else {7: told}, struck)


SENT, FLAGGED = Told("sent", (ANN,)), Told("sent", (ANN,), is_flagged=True)
SPENT, GIVEN_UP = Told("failed", attempts=5), Told("failed", attempts=2)
UNKNOWN, UNKNOWN_FLAGGED = Told("unknown"), Told("unknown", is_flagged=True)


@pytest.mark.parametrize(
    ("transactions", "told", "is_lost"),
    [
        ([accepted()], SENT, False),
        ([], SENT, True),
        ([], None, True),
        ([accepted()], None, False),
        ([refused(ANN)], Told("failed"), False),
        ([refused(ANN)], UNKNOWN, False),
        ([refused(ANN)], None, False),
        ([refused(ANN, code=450)], GIVEN_UP, True),
        ([], SPENT, False),
        ([], GIVEN_UP, True),
        ([broken()], UNKNOWN, False),
        ([broken_in_body()], UNKNOWN, False),
        ([], UNKNOWN, True),
        ([], Told("not_found"), True),
    ],
)
def test_lost(transactions: list[Transaction], told: Told | None, is_lost: bool) -> None:  # noqa: FBT001 -- a table
    """A mail with a receipt is lost when the server never took it and its end is not borne out by the server's log."""
    assert ruled(transactions, told).lost == ([7] if is_lost else [])


@pytest.mark.parametrize("handover", [Handover.MAYBE, Handover.REFUSED])
def test_without_a_receipt_nothing_is_lost(handover: Handover) -> None:
    """Whoever was told that it may not be queued was not promised anything."""
    judgement = ruled([], None, handover=handover)

    assert (judgement.lost, judgement.unfinished, judgement.contradictions) == ([], [], [])


@pytest.mark.parametrize(
    ("transactions", "told", "doubled", "unflagged"),
    [
        ([accepted()], SENT, 0, 0),
        ([accepted(), accepted()], SENT, 1, 1),
        ([accepted(), accepted()], FLAGGED, 1, 0),
        ([accepted(), accepted()], None, 1, 1),
        ([broken(is_kept=True), accepted()], FLAGGED, 1, 0),
        ([broken(), accepted()], FLAGGED, 0, 0),
        ([accepted(ANN, BOB), accepted(BOB)], SENT, 1, 1),
    ],
)
def test_doubled(transactions: list[Transaction], told: Told | None, doubled: int, unflagged: int) -> None:
    """What the server took twice for one recipient is a duplicate, and the outcome has to say that there may be one."""
    judgement = ruled(transactions, told, recipients=(ANN, BOB))

    assert (len(judgement.duplicated), len(judgement.duplicated_without_flag)) == (doubled, unflagged)


KILLED = Struck("w0-1", at=2.2)


@pytest.mark.parametrize(
    ("transactions", "told", "struck", "shown"),
    [
        ([broken(), accepted()], FLAGGED, [], None),
        ([broken(), broken()], UNKNOWN_FLAGGED, [], None),
        ([broken()], UNKNOWN_FLAGGED, [], "nothing"),
        ([accepted()], FLAGGED, [], "nothing"),
        ([broken_in_body(), accepted()], FLAGGED, [], "broke in the body"),
        ([accepted(), accepted()], FLAGGED, [KILLED], "answered when its worker was struck"),
        ([accepted(), accepted()], FLAGGED, [Struck("w0-1", at=3.5)], "nothing"),
        ([accepted(), accepted()], FLAGGED, [Struck("w1-1", at=2.2)], "nothing"),
        (
            [accepted(), accepted()],
            FLAGGED,
            [Struck("w0-1", at=1.5, until=30.0)],
            "answered when its worker was struck",
        ),
        ([accepted(), accepted()], FLAGGED, [Struck("w0-1", at=0.5, until=1.5)], "nothing"),
    ],
)
def test_flagged_without_cause(
    transactions: list[Transaction], told: Told, struck: list[Struck], shown: str | None
) -> None:
    """A flag needs a transaction that broke between last byte and reply, one more where the outcome is unknown."""
    judgement = ruled(transactions, told, struck=struck)

    assert judgement.flagged == [7]
    assert judgement.flagged_without_cause == ({} if shown is None else {7: shown})


def test_while_redis_is_away_no_answer_is_stored() -> None:
    """A worker that is killed then, or just after, was struck when Redis went."""
    struck = [Struck("w0-1", at=at) for at in (5.0, 12.0, 21.0, 40.0)]

    assert [strike.at for strike in widened(struck, [(10.0, 20.0)])] == [5.0, 10.0, 10.0, 40.0]


@pytest.mark.parametrize(
    ("transactions", "told", "contradictions"),
    [
        ([accepted(ANN, BOB)], Told("sent", (ANN, BOB)), 0),
        ([accepted(ANN), accepted(BOB)], Told("sent", (ANN, BOB)), 0),
        ([accepted(ANN)], Told("sent", (ANN, BOB)), 1),
        ([accepted(ANN)], Told("failed"), 1),
        ([], Told("failed", attempts=1), 1),
        ([], Told("failed", attempts=5), 0),
        ([refused(ANN, BOB)], Told("failed", refused=(ANN, BOB)), 0),
        ([accepted(ANN, refused={BOB: 550})], Told("partial", (ANN,), (BOB,)), 0),
        ([accepted(ANN, refused={BOB: 450})], Told("partial", (ANN,), (BOB,)), 1),
        ([accepted(ANN, BOB)], Told("partial", (ANN,), (BOB,)), 2),
        ([broken(admitted=[ANN, BOB], is_kept=True)], Told("unknown"), 0),
        ([refused(ANN, BOB)], Told("unknown"), 1),
        ([accepted(ANN, BOB), accepted(ANN, BOB, message_id="<2@chaos.example>")], Told("sent"), 1),
        ([accepted(ANN, BOB, "eve@chaos.example")], Told("sent"), 1),
        ([], Told("cancelled"), 1),
    ],
)
def test_contradictions(transactions: list[Transaction], told: Told, contradictions: int) -> None:
    """Whatever an outcome says of a recipient must stand in the server's log too."""
    judgement = ruled(transactions, told, recipients=(ANN, BOB))

    assert len(judgement.contradictions) == contradictions, judgement.contradictions


def test_sent_although_refused_at_the_door() -> None:
    """Where BrokerUnavailable said that nothing was queued, nothing may be sent."""
    assert len(ruled([accepted()], None, handover=Handover.REFUSED).contradictions) == 1
    assert ruled([accepted()], SENT, handover=Handover.MAYBE).contradictions == []


def test_the_counts() -> None:
    """Handovers, acceptances, open transactions and outcomes are counted, each once."""
    posted = [
        Posted(1, (ANN,)),
        Posted(2, (ANN,)),
        Posted(3, (ANN,), Handover.MAYBE),
        Posted(4, (ANN,), Handover.REFUSED),
    ]
    transactions = [broken(mail=1, is_kept=True, is_dropped=True), accepted(mail=1), accepted(mail=3), broken(mail=2)]

    judgement = judge(posted, transactions, {1: FLAGGED, 3: SENT})

    assert (judgement.receipts, judgement.maybe, judgement.maybe_sent, judgement.refused) == (2, 1, 1, 1)
    assert (judgement.accepted_messages, judgement.accepted_distinct) == (3, 2)
    assert (judgement.open_after_last_byte, judgement.open_at_workers_end) == (2, 1)
    assert judgement.unfinished == judgement.lost == [2]
    assert judgement.outcomes == {"sent": 2, "unfinished": 1}
