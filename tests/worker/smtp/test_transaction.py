"""The transaction without a network: what it writes, what it makes of replies, and how far it knows to have got."""

import pytest

from postroom_contract.error_codes import ErrorCode
from postroom_contract.errors import IOException, SmtpCommandException, UnknownOutcomeException
from postroom_worker.smtp.envelope import Envelope
from postroom_worker.smtp.extensions import Extensions
from postroom_worker.smtp.place import Place
from postroom_worker.smtp.reply import ProtocolViolation, Reply
from postroom_worker.smtp.report import Answer, Phase
from postroom_worker.smtp.transaction import MOST_COMMANDS_IN_A_GROUP, Transaction
from tests.worker.smtp.sending import CONTENT, ENVELOPE, envelope_to

PLACE = Place("mail.example", 587)
PIPELINING = Extensions(pipelining=True)
PLAIN = Extensions()
OK, GO, BYE = Reply(250), Reply(354), Reply(421, "4.3.2", "closing")
NO, LATER, OUT_OF_ORDER = Reply(550, "5.1.1"), Reply(450, "4.2.0"), Reply(503, "5.5.1")
TOO_MANY = Reply(452, "4.5.3")


def start(*names: str, extensions: Extensions = PIPELINING, most: int = 50) -> Transaction:
    """Start a transaction to these recipients."""
    return Transaction(envelope_to(*names), CONTENT, extensions, PLACE, most_recipients=most)


def verbs(octets: bytes) -> list[str]:
    """Return the commands in a group."""
    return [line.split(b" ")[0].decode() for line in octets.split(b"\r\n")[:-1]]


def answer(transaction: Transaction, *replies: Reply) -> Transaction:
    """Write what is due and bring back these replies; write the message when it is asked for, and commit."""
    for reply in replies:
        transaction.next_group()
        if transaction.wants_content:
            transaction.start_content()
            transaction.commit()
        transaction.receive(reply)
    transaction.next_group()
    return transaction


def test_one_group_where_pipelining_is_announced() -> None:
    """MAIL, all RCPT and DATA leave in one write, and nothing more before they are answered."""
    transaction = start("one", "two")

    assert transaction.next_group() == (
        b"MAIL FROM:<sender@here.example>\r\nRCPT TO:<one@there.example>\r\nRCPT TO:<two@there.example>\r\nDATA\r\n"
    )
    assert transaction.outstanding == 4
    assert transaction.next_group() == b""


def test_one_by_one_where_it_is_not() -> None:
    """Without the announcement each command waits for the reply to the one before."""
    transaction = start("one", extensions=PLAIN)
    written = []
    for reply in (OK, OK, GO):
        written += verbs(transaction.next_group())
        assert transaction.outstanding == 1
        transaction.receive(reply)

    assert written == ["MAIL", "RCPT", "DATA"]
    assert transaction.wants_content


def test_large_groups_are_cut() -> None:
    """Hundreds of recipients go in groups that fit the windows of both sides, DATA in the last."""
    names = [f"r{number}" for number in range(MOST_COMMANDS_IN_A_GROUP + 50)]
    transaction = start(*names, most=1000)

    first = verbs(transaction.next_group())
    answer(transaction, *[OK] * len(first))
    assert len(first) == MOST_COMMANDS_IN_A_GROUP
    assert transaction.awaits == "RCPT"
    assert transaction.outstanding == 52


@pytest.mark.parametrize("extensions", [PIPELINING, PLAIN])
def test_a_message_goes_through_all_phases(extensions: Extensions) -> None:
    """The phase is right at every moment, and a positive reply to the dot means sent."""
    transaction = start("one", extensions=extensions)
    phases = [transaction.phase]
    answer(transaction, OK, OK, GO)
    phases.append(transaction.phase)
    wire = transaction.start_content()
    phases.append(transaction.phase)
    transaction.commit()
    phases.append(transaction.phase)
    assert transaction.awaits == "."
    transaction.receive(Reply(251))
    phases.append(transaction.phase)

    assert phases == [Phase.IDLE, Phase.ENVELOPE, Phase.BODY, Phase.COMMITTED, Phase.REPLIED]
    assert wire.endswith(b"\r\n.\r\n")
    report = transaction.report()
    assert report.accepted == ("one@there.example",)
    assert report.connection_usable
    assert not transaction.needs_reset


@pytest.mark.parametrize("code", [250, 251, 252, 299])
def test_any_2yz_accepts_a_recipient(code: int) -> None:
    """RFC 5321 section 4.3.2: the first digit counts."""
    report = answer(start("one"), OK, Reply(code), GO, OK).report()

    assert report.accepted == ("one@there.example",)


def test_some_refused_recipients_do_not_stop_the_rest() -> None:
    """The message goes to those accepted; each refusal keeps its own reply."""
    report = answer(start("one", "two", "three"), OK, NO, OK, LATER, GO, OK).report()

    assert report.accepted == ("two@there.example",)
    assert report.refused == {"one@there.example": NO, "three@there.example": LATER}
    assert report.answer_for("one@there.example") == Answer("RCPT", NO)
    assert report.answer_for("two@there.example") == Answer(".", OK)


@pytest.mark.parametrize("echo", [Reply(503), Reply(554, "5.5.1")])
def test_the_echo_of_refused_recipients_is_ignored(echo: Reply) -> None:
    """All RCPT refused and DATA out of order: the RCPT replies decide, and the connection is fine."""
    transaction = answer(start("one", "two"), OK, NO, LATER, echo)
    report = transaction.report()

    assert transaction.is_over
    assert report.never_sent
    assert report.connection_usable
    assert report.answer_for("one@there.example") == Answer("RCPT", NO)
    assert report.answer_for("two@there.example") == Answer("RCPT", LATER)
    assert transaction.needs_reset


def test_an_invitation_for_nobody_is_answered_with_a_lone_dot() -> None:
    """RFC 2920 section 3.1: 354 without a recipient; what the server says to the dot decides nothing."""
    transaction = start("one")
    transaction.next_group()
    for reply in (OK, NO, GO):
        transaction.receive(reply)

    assert not transaction.wants_content
    assert transaction.next_group() == b".\r\n"
    transaction.receive(Reply(554))
    assert transaction.is_over
    assert transaction.report().never_sent
    assert transaction.report().connection_usable


def test_no_lone_dot_where_somebody_was_accepted() -> None:
    """It would deliver an empty message: after a refused MAIL and an accepted RCPT the connection is given up."""
    transaction = start("one")
    transaction.next_group()
    transaction.receive(NO)
    transaction.receive(OK)

    with pytest.raises(ProtocolViolation):
        transaction.receive(GO)
    assert transaction.next_group() == b""


def test_a_refused_mail_decides_for_all() -> None:
    """The rest of the group is its echo."""
    report = answer(start("one", "two"), LATER, OUT_OF_ORDER, OUT_OF_ORDER, OUT_OF_ORDER).report()

    assert report.answer_for("one@there.example") == Answer("MAIL", LATER)
    assert report.connection_usable
    assert report.leftover == ()


def test_nothing_follows_a_refused_mail() -> None:
    """Without pipelining the recipients are not even named."""
    transaction = answer(start("one", extensions=PLAIN), NO)

    assert transaction.is_over
    assert transaction.report().unattempted == ("one@there.example",)
    assert transaction.report().leftover == ()


def test_nothing_follows_refused_recipients() -> None:
    """Without pipelining DATA is not sent for nobody."""
    transaction = answer(start("one", extensions=PLAIN), OK, NO)

    assert transaction.is_over
    assert transaction.report().data is None


@pytest.mark.parametrize("reply", [Reply(454, "4.7.0"), Reply(550, "5.7.1")])
def test_a_refused_data_decides_for_those_accepted(reply: Reply) -> None:
    """Nothing was sent; the reply to DATA is the answer."""
    report = answer(start("one", "two"), OK, OK, NO, reply).report()

    assert report.answer_for("one@there.example") == Answer("DATA", reply)
    assert report.answer_for("two@there.example") == Answer("RCPT", NO)
    assert report.never_sent
    assert report.connection_usable


@pytest.mark.parametrize("reply", [Reply(451), Reply(552, "5.3.4"), Reply(554)])
def test_a_refused_message_was_not_delivered(reply: Reply) -> None:
    """RFC 5321 section 4.2.5: after 4yz or 5yz to the dot the server must not deliver."""
    report = answer(start("one"), OK, OK, GO, reply).report()

    assert report.phase is Phase.REPLIED
    assert not report.never_sent
    assert not report.committed_without_reply
    assert report.accepted == ()
    assert report.answer_for("one@there.example") == Answer(".", reply)
    assert report.connection_usable


@pytest.mark.parametrize("reply", [TOO_MANY, Reply(452), Reply(552), Reply(451, "4.5.3"), Reply(552, "5.5.3")])
def test_recipients_too_many_are_left_over(reply: Reply) -> None:
    """They did not fail: the next transaction takes them at once."""
    report = answer(start("one", "two", "three"), OK, OK, reply, reply, GO, OK).report()

    assert report.accepted == ("one@there.example",)
    assert report.leftover == ("two@there.example", "three@there.example")
    assert report.refused == {}
    assert report.answer_for("two@there.example") is None


@pytest.mark.parametrize("reply", [Reply(452, "4.2.2"), Reply(552, "5.2.2"), Reply(451), Reply(450, "4.5.3")])
def test_a_full_mailbox_is_not_too_many(reply: Reply) -> None:
    """Other meanings of these codes stay the recipient's own."""
    report = answer(start("one", "two"), OK, OK, reply, GO, OK).report()

    assert report.refused == {"two@there.example": reply}


def test_the_first_recipient_is_never_too_many() -> None:
    """Splitting would get nowhere: the reply stands."""
    report = answer(start("one"), OK, TOO_MANY, OUT_OF_ORDER).report()

    assert report.refused == {"one@there.example": TOO_MANY}


def test_no_more_recipients_are_tried_than_a_server_takes() -> None:
    """Our limit and the announced one (RFC 9422) leave the rest to the next transaction."""
    for extensions, most in ((PIPELINING, 2), (Extensions(pipelining=True, most_recipients=2), 50)):
        report = answer(start("one", "two", "three", extensions=extensions, most=most), OK, OK, OK, GO, OK).report()
        assert report.accepted == ("one@there.example", "two@there.example")
        assert report.leftover == ("three@there.example",)


@pytest.mark.parametrize(
    ("replies", "answered"),
    [((BYE,), 0), ((OK, BYE), 1), ((OK, OK, BYE), 2), ((OK, OK, OK, BYE), 3)],
)
def test_a_goodbye_in_the_group_ends_it(replies: tuple[Reply, ...], answered: int) -> None:
    """421 keeps its place; what follows is not answered, and nothing was sent."""
    transaction = answer(start("one", "two"), *replies)
    report = transaction.report()

    assert transaction.is_over
    assert report.never_sent
    assert not report.connection_usable
    told = (report.mail, *report.recipients.values(), report.data)
    assert told == (*replies, *[None] * (4 - len(replies)))
    if answered < 3:
        assert isinstance(report.lost, IOException)
        assert (report.lost.reason, report.lost.smtp_code, report.lost.retryable) == ("disconnected", 421, True)
    else:
        assert report.answer_for("one@there.example") == Answer("DATA", BYE)


def test_a_goodbye_to_the_dot_is_a_refusal() -> None:
    """421 is a 4yz reply: the message was not taken, and that is known."""
    report = answer(start("one"), OK, OK, GO, BYE).report()

    assert report.answer_for("one@there.example") == Answer(".", BYE)
    assert report.lost is None
    assert not report.connection_usable


@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_lost_connection_in_the_envelope_sent_nothing(count: int) -> None:
    """What was answered keeps its answer; the rest has none, and trying again is safe."""
    transaction = answer(start("one"), *[OK] * count)
    transaction.lose("disconnected")
    report = transaction.report()

    assert report.never_sent
    assert isinstance(report.lost, IOException)
    assert report.lost.facts["phase"] == "envelope"
    assert (report.lost.facts["host"], report.lost.facts["port"]) == PLACE
    assert report.lost.retryable


def test_a_lost_connection_in_the_body_sent_nothing() -> None:
    """Without its last octets a message is none."""
    transaction = answer(start("one"), OK, OK, GO)
    transaction.start_content()
    transaction.lose("timed_out")
    report = transaction.report()

    assert report.never_sent
    assert report.in_doubt == ()
    assert report.lost is not None
    assert (report.lost.code, report.lost.facts["phase"]) == (ErrorCode.CONNECTION_LOST, "body")


def test_a_lost_connection_after_the_commit_is_in_doubt() -> None:
    """The one case in which nobody knows; it is not called a failure that may be retried safely."""
    transaction = answer(start("one", "two"), OK, OK, NO, GO)
    transaction.start_content()
    transaction.commit()
    transaction.lose("timed_out")
    report = transaction.report()

    assert report.committed_without_reply
    assert not report.never_sent
    assert report.in_doubt == ("one@there.example",)
    assert report.accepted == ()
    assert isinstance(report.lost, UnknownOutcomeException)
    assert (report.lost.reason, report.lost.retryable) == ("timed_out", False)
    assert not report.connection_usable


def test_what_happens_after_the_last_reply_changes_nothing() -> None:
    """A connection that is lost then cannot be used again, and the message is sent all the same."""
    transaction = answer(start("one"), OK, OK, GO, OK)
    transaction.lose("disconnected")
    report = transaction.report()

    assert report.was_accepted
    assert report.lost is None
    assert not report.connection_usable


def test_a_refusal_in_the_middle_of_the_body_is_the_answer() -> None:
    """The terminator has not left: nothing can be delivered, and the connection, half a message in it, is given up."""
    transaction = answer(start("one"), OK, OK, GO)
    transaction.start_content()
    transaction.receive(Reply(552, "5.3.4"))
    report = transaction.report()

    assert transaction.is_over
    assert report.never_sent
    assert report.answer_for("one@there.example") == Answer(".", Reply(552, "5.3.4"))
    assert not report.connection_usable


@pytest.mark.parametrize(
    "replies",
    [(GO,), (OK, GO), (OK, OK, OK), (OK, OK, GO, GO)],
    ids=["3yz to MAIL", "3yz to RCPT", "2yz to DATA", "3yz to the dot"],
)
def test_replies_that_mean_nothing_are_violations(replies: tuple[Reply, ...]) -> None:
    """The transaction does not guess."""
    with pytest.raises(ProtocolViolation):
        answer(start("one"), *replies)


def test_a_yes_in_the_middle_of_the_body_is_a_violation() -> None:
    """Nobody can have accepted half a message."""
    transaction = answer(start("one"), OK, OK, GO)
    transaction.start_content()

    with pytest.raises(ProtocolViolation):
        transaction.receive(OK)


def test_a_reply_to_nothing_is_a_violation() -> None:
    """Before the first command and after the last reply there is nothing to answer."""
    with pytest.raises(ProtocolViolation):
        start("one").receive(OK)
    with pytest.raises(ProtocolViolation):
        answer(start("one"), OK, OK, GO, OK, OK)


def test_steps_out_of_order_are_our_own_mistake() -> None:
    """The message cannot be started before it is asked for, nor committed before it is started."""
    with pytest.raises(RuntimeError):
        start("one").start_content()
    with pytest.raises(RuntimeError):
        start("one").commit()


def test_mail_names_the_size_where_that_is_announced() -> None:
    """RFC 1870 section 5: the octets of the message, doubled dots not counted."""
    assert b"> SIZE=%d\r\n" % len(CONTENT) in start("one", extensions=Extensions(announces_size=True)).next_group()
    assert b"SIZE" not in start("one").next_group()


def test_a_message_over_the_announced_size_is_not_begun() -> None:
    """It is refused with the server's code, before anything is sent."""
    with pytest.raises(SmtpCommandException) as refused:
        Transaction(ENVELOPE, CONTENT, Extensions(announces_size=True, largest_message=10), PLACE)

    error = refused.value
    assert error.code == ErrorCode.MESSAGE_TOO_LARGE
    assert (error.smtp_code, error.enhanced_code, error.reason, error.facts["limit"]) == (552, "5.3.4", "too_large", 10)
    assert not error.retryable
    Transaction(ENVELOPE, CONTENT, Extensions(announces_size=True, largest_message=len(CONTENT)), PLACE)


def test_smtputf8_is_asked_for_only_where_it_is_needed() -> None:
    """An ASCII envelope goes without, whatever the server can do."""
    able = Extensions(smtputf8=True, eight_bit_mime=True)
    envelope = Envelope("sender@here.example", ("ü@there.example",))

    group = Transaction(envelope, "Subject: ü\r\n\r\n".encode(), able, PLACE).next_group()
    assert group == b"MAIL FROM:<sender@here.example> SMTPUTF8 BODY=8BITMIME\r\n"
    assert b"SMTPUTF8" not in Transaction(ENVELOPE, CONTENT, able, PLACE).next_group()


def test_an_address_that_needs_smtputf8_is_not_sent_without() -> None:
    """RFC 6531 section 3.2: refused with 553 5.6.7 before anything is sent."""
    with pytest.raises(SmtpCommandException) as refused:
        Transaction(Envelope("a@here.example", ("ü@there.example",)), CONTENT, PIPELINING, PLACE)

    error = refused.value
    assert (error.smtp_code, error.enhanced_code, error.reason) == (553, "5.6.7", "needs_smtputf8")
