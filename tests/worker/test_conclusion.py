"""What replies mean for each recipient and for the delivery: reports go in, outcomes or retries come out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from postroom_contract.delivery import Delivery, Progress
from postroom_contract.error_codes import ErrorCode
from postroom_contract.errors import PostroomError, make_error
from postroom_contract.message import EmailMessage
from postroom_contract.outcome import Outcome, State
from postroom_contract.session import Anonymous, BasicEmailSessionDetails, ServerDetails
from postroom_worker.conclusion import Again, Attempt, Hold, conclude, if_silent, learn, public
from postroom_worker.smtp import Phase, Reply, TransactionReport

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ANN, BOB, CAT = "ann@example.com", "bob@example.com", "cat@example.com"
OK = Reply(250, "2.0.0", "Ok")
GO_ON = Reply(354, None, "Go on")
NOBODY = Reply(550, "5.1.1", "No such user")
BUSY = Reply(451, "4.3.0", "Busy, try again in 60 seconds")
SPEEDING = Reply(454, None, "Throttling failure")


def attempt(*recipients: str, progress: Progress | None = None, **wishes: Any) -> Attempt:
    """A first attempt, unless there is progress, at a message to these recipients."""
    session = BasicEmailSessionDetails(server_details=ServerDetails(host="localhost", port=25), credentials=Anonymous())
    message = EmailMessage(to=recipients, from_="clerk@example.com")
    return Attempt(Delivery(session=session, message=message, **wishes), progress or Progress())


def report(
    recipients: dict[str, Reply | None],
    *,
    mail: Reply | None = OK,
    data: Reply | None = GO_ON,
    final: Reply | None = OK,
    lost: PostroomError | None = None,
    phase: Phase = Phase.REPLIED,
    is_encrypted: bool = True,
) -> TransactionReport:
    """A transaction's report; as it stands, everything went well."""
    return TransactionReport(
        phase=phase,
        mail=mail,
        recipients=recipients,
        data=data,
        final=final,
        lost=lost,
        connection_usable=lost is None,
        is_encrypted=is_encrypted,
    )


def concluded(tried: Attempt, *reports: TransactionReport) -> Outcome | Again | Hold:
    """What comes of an attempt after these reports, at noon and with no spread."""
    for each in reports:
        learn(tried, each)
    return conclude(tried, now=NOW, random=lambda: 0.5)


def outcome(tried: Attempt, *reports: TransactionReport) -> Outcome:
    """The same, where it is final."""
    result = concluded(tried, *reports)
    assert isinstance(result, Outcome)
    return result


def lost(code: ErrorCode = ErrorCode.CONNECTION_LOST, *, retryable: bool = True) -> PostroomError:
    """A connection that was lost."""
    return make_error(code, {"host": "localhost", "port": 25, "reason": "disconnected", "retryable": retryable})


def test_everybody_accepted_is_sent() -> None:
    """No error, all recipients, one attempt."""
    result = outcome(attempt(ANN, BOB), report({ANN: OK, BOB: OK}))

    assert (result.state, result.code, result.error) == (State.SENT, None, None)
    assert (result.accepted, result.refused, result.attempts) == ([ANN, BOB], {}, 1)


def test_some_refused_for_good_is_partial() -> None:
    """The refused recipient is told with its reply, and the code is that of a refused command."""
    result = outcome(attempt(ANN, BOB), report({ANN: OK, BOB: NOBODY}))

    assert (result.state, result.code, result.accepted) == (State.PARTIAL, 1301, [ANN])
    assert (result.refused[BOB].code, result.refused[BOB].enhanced) == (550, "5.1.1")


def test_nobody_accepted_is_failed() -> None:
    """All recipients refused: the replies to them decide, whatever DATA said."""
    refused_data = Reply(554, "5.5.1", "No valid recipients")
    result = outcome(attempt(ANN), report({ANN: NOBODY}, data=refused_data, final=None, phase=Phase.ENVELOPE))

    assert (result.state, result.code) == (State.FAILED, 1301)
    assert result.error is not None
    assert (result.error.smtp_code, result.error.facts["command"]) == (550, "RCPT")


@pytest.mark.parametrize(
    ("changes", "command", "smtp_code"),
    [
        ({"mail": Reply(553, "5.7.1", "Not you"), "data": None, "final": None, "phase": Phase.ENVELOPE}, "MAIL", 553),
        ({"data": Reply(550, None, "No"), "final": None, "phase": Phase.ENVELOPE}, "DATA", 550),
        ({"final": Reply(552, "5.3.4", "Too big")}, "the message", 552),
    ],
)
def test_a_refusal_of_the_whole_message_fails_everybody(
    changes: dict[str, object], command: str, smtp_code: int
) -> None:
    """MAIL, DATA and the end of the message can be refused; the command is named as a person would."""
    result = outcome(attempt(ANN), report({ANN: OK}, **changes))  # type: ignore[arg-type]

    assert result.state is State.FAILED
    assert result.error is not None
    assert (result.error.facts["command"], result.error.smtp_code) == (command, smtp_code)


@pytest.mark.parametrize(("is_encrypted", "code"), [(False, 200), (True, 300)])
def test_530_means_tls_or_a_login_by_what_the_session_lacks(is_encrypted: bool, code: int) -> None:  # noqa: FBT001
    """The same reply is 200 in the clear and 300 behind TLS without a login."""
    answer = Reply(530, "5.7.0", "Something first")
    result = outcome(attempt(ANN), report({ANN: None}, mail=answer, data=None, final=None, is_encrypted=is_encrypted))

    assert (result.state, result.code) == (State.FAILED, code)


def test_a_temporary_refusal_is_retried_for_those_who_may_still_succeed() -> None:
    """Accepted and refused recipients stay decided; the retry is for the third."""
    tried = attempt(ANN, BOB, CAT)
    result = concluded(tried, report({ANN: OK, BOB: NOBODY, CAT: BUSY}))

    assert isinstance(result, Again)
    assert result.after_s == 60
    assert result.progress.remaining(tried.delivery.message.recipients) == (CAT,)
    assert result.progress.charged == {"deferred": 1}


def test_a_retry_that_succeeds_still_tells_who_was_refused_before() -> None:
    """The refusal of an earlier attempt is in the outcome, and so is its error."""
    tried = attempt(ANN, BOB)
    first = concluded(tried, report({ANN: NOBODY, BOB: BUSY}))
    assert isinstance(first, Again)
    second = outcome(attempt(ANN, BOB, progress=first.progress), report({BOB: OK}))

    assert (second.state, second.code, second.attempts) == (State.PARTIAL, 1301, 2)
    assert (second.accepted, list(second.refused)) == ([BOB], [ANN])


def test_the_longest_wait_of_several_is_taken() -> None:
    """Coming back too early only lengthens a greylist."""
    result = concluded(attempt(ANN, BOB), report({ANN: BUSY, BOB: Reply(450, "4.7.1", "Later")}, final=None, data=None))

    assert isinstance(result, Again)
    assert result.after_s == 300
    assert result.progress.charged == {"deferred": 1, "greylisted": 1}


def test_throttling_does_not_use_up_the_tries_of_a_refused_connection() -> None:
    """Each class has its own count."""
    progress = Progress(attempts=4, charged={"connection": 4}, first_failed_at=NOW)
    result = concluded(attempt(ANN, progress=progress), report({ANN: OK}, final=SPEEDING))

    assert isinstance(result, Again)
    assert result.progress.charged == {"connection": 4, "throttled": 1}


UNANSWERED = {"final": None, "phase": Phase.COMMITTED, "lost": lost(ErrorCode.UNKNOWN_OUTCOME, retryable=False)}


def unanswered(recipients: dict[str, Reply | None]) -> TransactionReport:
    """The whole message was handed over, and no reply came."""
    return report(recipients, **UNANSWERED)  # type: ignore[arg-type]


def test_a_connection_lost_before_the_end_is_retried_without_a_warning() -> None:
    """Never sent and may have been sent are two different things."""
    before = concluded(attempt(ANN), report({ANN: OK}, final=None, phase=Phase.BODY, lost=lost()))

    assert isinstance(before, Again)
    assert (before.progress.in_doubt, before.progress.possible_duplicate) == ((), False)


def test_a_message_in_doubt_is_sent_once_more_and_then_says_so() -> None:
    """The second copy is flagged; before it leaves, nothing was sent twice."""
    first = concluded(attempt(ANN), unanswered({ANN: OK}))
    assert isinstance(first, Again)
    assert (first.error.error_code, first.progress.in_doubt, first.progress.possible_duplicate) == (1303, (ANN,), False)
    assert first.progress.remaining((ANN,)) == (ANN,)
    second = outcome(attempt(ANN, progress=first.progress), report({ANN: OK}))

    assert (second.state, second.accepted, second.possible_duplicate) == (State.SENT, [ANN], True)


def test_a_second_doubt_is_the_end() -> None:
    """Sent once more, and again no reply: unknown, and a third copy never leaves."""
    first = concluded(attempt(ANN), unanswered({ANN: OK}))
    assert isinstance(first, Again)
    second = outcome(attempt(ANN, progress=first.progress), unanswered({ANN: OK}))

    assert (second.state, second.code, second.unknown, second.possible_duplicate) == (
        *(State.UNKNOWN, 1303, [ANN], True),
    )


@pytest.mark.parametrize("final", [NOBODY, BUSY], ids=["for good", "for now"])
def test_a_second_sending_that_is_refused_doubles_nothing(final: Reply) -> None:
    """The doubt about the first one stays; a message that the server refused whole has reached nobody a second time."""
    tried = attempt(ANN, progress=Progress(attempts=1, in_doubt=(ANN,)))
    result = concluded(tried, report({ANN: OK}, final=final))
    told = result if isinstance(result, Outcome) else result.progress

    assert not told.possible_duplicate
    assert ANN in (told.unknown if isinstance(told, Outcome) else told.in_doubt)


@pytest.mark.parametrize("reply", [NOBODY, None])
def test_once_in_doubt_nobody_is_told_as_failed(reply: Reply | None) -> None:
    """The second attempt was refused, or its tries are spent: the first copy may have arrived all the same."""
    progress = Progress(attempts=1, in_doubt=(ANN,), charged={"connection": 4}, first_failed_at=NOW)
    second = attempt(ANN, progress=progress)
    if reply is None:
        second.failed(lost())
    result = outcome(second, *([report({ANN: reply}, data=None, final=None)] if reply else []))

    assert (result.state, result.unknown, result.possible_duplicate) == (State.UNKNOWN, [ANN], False)


def test_a_message_in_doubt_is_held_where_its_sender_wants_that() -> None:
    """Nothing is sent twice without an operator's word, and what was learned is kept."""
    result = concluded(attempt(ANN, BOB, on_unknown="hold"), unanswered({ANN: OK, BOB: NOBODY}))

    assert isinstance(result, Hold)
    assert (result.progress.in_doubt, list(result.progress.refused)) == ((ANN,), [BOB])


def test_one_in_doubt_and_one_put_off_are_tried_again_together() -> None:
    """The longer wait counts; each recipient keeps its own story."""
    first = concluded(attempt(ANN, BOB), unanswered({ANN: OK, BOB: BUSY}))
    assert isinstance(first, Again)
    assert first.after_s == 60
    second = outcome(attempt(ANN, BOB, progress=first.progress), report({ANN: NOBODY, BOB: OK}))

    assert (second.state, second.accepted, second.unknown) == (State.UNKNOWN, [BOB], [ANN])


def test_what_is_known_if_nothing_more_is_heard() -> None:
    """Written down at the commit: who got it before, who may get it now, who may get it for the second time."""
    progress = Progress(attempts=1, accepted=(CAT,), in_doubt=(BOB,))
    silent = if_silent(attempt(ANN, BOB, CAT, progress=progress), (ANN, BOB))

    assert (silent.attempts, silent.accepted, silent.in_doubt, silent.unknown) == (2, (CAT,), (BOB, ANN), (BOB,))
    assert silent.possible_duplicate
    assert silent.remaining((ANN, BOB, CAT)) == (ANN,)


def test_a_retry_that_would_come_too_late_is_not_waited_for() -> None:
    """The time is over before the next attempt: expired now, and not sent late."""
    result = outcome(attempt(ANN, expires_at=NOW + timedelta(seconds=59)), report({ANN: BUSY}, data=None, final=None))

    assert (result.state, result.code) == (State.EXPIRED, 1305)


def test_nobody_is_forgotten_when_a_worker_stops_between_two_transactions() -> None:
    """Recipients who did not fit and were not tried are put off, not dropped."""
    tried = attempt(ANN, BOB)
    result = concluded(tried, report({ANN: OK, BOB: None}))

    assert isinstance(result, Again)
    assert result.error.reason == "interrupted"
    assert result.progress.remaining((ANN, BOB)) == (BOB,)


def test_a_session_error_after_some_were_accepted_is_partial_with_that_error() -> None:
    """A retry that finds the password changed: those accepted before stay accepted."""
    tried = attempt(ANN, BOB, progress=Progress(attempts=1, accepted=(ANN,), first_failed_at=NOW))
    tried.failed(make_error(ErrorCode.INVALID_USER_CREDENTIALS, {"smtp_code": 535}))
    result = outcome(tried)

    assert (result.state, result.code, result.accepted, result.refused) == (State.PARTIAL, 300, [ANN], {})


def test_what_celery_is_told_of_a_retry_names_nobody() -> None:
    """Host, address and text are gone; codes stay."""
    error = make_error(
        ErrorCode.COMMAND_REFUSED, {"host": "mx.example.com", "text": "ann?", "smtp_code": 450, "retryable": True}
    )

    assert public(error).facts == {"smtp_code": 450, "retryable": True}


def test_without_a_ledger_a_message_given_out_before_may_be_a_duplicate() -> None:
    """Nobody knows what became of the earlier attempt: the outcome warns, also after a retry in between."""
    again = attempt(ANN)
    again.possible_duplicate = True
    first = concluded(again, report({ANN: BUSY}))
    assert isinstance(first, Again)
    second = outcome(attempt(ANN, progress=first.progress), report({ANN: OK}))

    assert (second.state, second.possible_duplicate) == (State.SENT, True)
    assert not outcome(attempt(ANN), report({ANN: OK})).possible_duplicate
