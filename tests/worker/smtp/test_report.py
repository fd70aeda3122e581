"""Never sent, refused, may have been sent: what a report says of each. The ways to get there are in test_transaction."""

import pytest

from postroom_worker.smtp.reply import Reply
from postroom_worker.smtp.report import Answer, Phase, TransactionReport

OK, NO = Reply(250), Reply(550)


def report(
    phase: Phase,
    *,
    mail: Reply | None = OK,
    one: Reply | None = OK,
    data: Reply | None = None,
    final: Reply | None = None,
) -> TransactionReport:
    """Return a report on two recipients, of whom the other is never answered."""
    recipients = {"one@there.example": one, "other@there.example": None}
    return TransactionReport(phase, mail, recipients, data, final, lost=None, connection_usable=True)


@pytest.mark.parametrize(
    ("phase", "never_sent", "in_doubt"),
    [
        (Phase.IDLE, True, False),
        (Phase.ENVELOPE, True, False),
        (Phase.BODY, True, False),
        (Phase.COMMITTED, False, True),
        (Phase.REPLIED, False, False),
    ],
)
def test_the_phase_tells_the_three_apart(phase: Phase, never_sent: bool, in_doubt: bool) -> None:  # noqa: FBT001
    """Only between the commit and the reply is a message in doubt."""
    found = report(phase)

    assert (found.never_sent, found.committed_without_reply) == (never_sent, in_doubt)
    assert found.in_doubt == (("one@there.example",) if in_doubt else ())


def test_only_a_positive_last_reply_accepts() -> None:
    """An admitted recipient is not yet one for whom the server took the message."""
    assert report(Phase.REPLIED, final=OK).accepted == ("one@there.example",)
    assert report(Phase.REPLIED, final=NO).accepted == ()
    assert report(Phase.REPLIED, final=NO).admitted == ("one@there.example",)


@pytest.mark.parametrize(
    ("found", "answer"),
    [
        (report(Phase.ENVELOPE, mail=NO, one=NO, data=NO), Answer("MAIL", NO)),
        (report(Phase.ENVELOPE, one=NO, data=NO), Answer("RCPT", NO)),
        (report(Phase.ENVELOPE, data=NO), Answer("DATA", NO)),
        (report(Phase.REPLIED, data=Reply(354), final=OK), Answer(".", OK)),
        (report(Phase.ENVELOPE, one=None), None),
        (report(Phase.COMMITTED, data=Reply(354)), None),
    ],
)
def test_one_reply_decides_about_a_recipient(found: TransactionReport, answer: Answer | None) -> None:
    """The earliest refusal counts, because what follows it is its echo."""
    assert found.answer_for("one@there.example") == answer


def test_the_repr_shows_no_address() -> None:
    """Reports are logged when something is unexpected."""
    assert "there.example" not in repr(report(Phase.REPLIED, final=OK))
