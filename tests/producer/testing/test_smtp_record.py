"""The record: what is kept of a connection, what is not, and how a test waits for it."""

import threading

import pytest

from postroom.testing import MessageRecord
from postroom.testing.smtp_record import AuthAttempt, SmtpRecord


def message(data: bytes = b"Subject: hello\r\n\r\nbody\r\n") -> MessageRecord:
    """Return a message that was accepted."""
    return MessageRecord(1, 0.0, "a@x.test", {}, ("b@x.test",), None, data)


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("AUTH PLAIN AHVzZXIAc2VjcmV0", "AUTH PLAIN ****"),
        ("auth login dXNlcg==", "auth login ****"),
        ("AUTH LOGIN", "AUTH LOGIN"),
        ("AUTH PLAIN  AHVzZXIAc2VjcmV0", "AUTH PLAIN ****"),
        ("AUTH PLAIN one two", "AUTH PLAIN ****"),
        ("AUTH", "AUTH "),
        ("MAIL FROM:<a@x.test>", "MAIL FROM:<a@x.test>"),
    ],
)
def test_auth_commands_are_kept_without_their_argument(line: str, kept: str) -> None:
    """The mechanism stays, whatever follows it goes."""
    record = SmtpRecord()
    record.open_connection().note_command(line)

    assert record.connections[0].commands == (kept,)


def test_a_snapshot_does_not_change() -> None:
    """What was read stays as it was while the connection goes on."""
    record = SmtpRecord()
    log = record.open_connection()
    before = record.connections[0]
    log.note_command("NOOP")
    log.note_tls("TLSv1.3")
    log.note_auth(AuthAttempt("PLAIN", "user"))
    log.note_violation("bare LF")
    log.close("quit")
    after = record.connections[0]

    assert (before.commands, before.tls_version, before.auth_attempts, before.violations) == ((), None, (), ())
    assert (before.ending, before.closed_at) == (None, None)
    assert (after.verbs, after.tls_version, after.ending) == (("NOOP",), "TLSv1.3", "quit")
    assert (after.auth_attempts, after.violations) == ((AuthAttempt("PLAIN", "user"),), ("bare LF",))
    assert after.closed_at is not None
    assert after.opened_at <= after.closed_at


def test_the_first_word_about_the_end_counts() -> None:
    """A client that quits and then closes has quit; the connection is counted off once."""
    record = SmtpRecord()
    log = record.open_connection()
    log.close("quit")
    log.close("client_closed")

    assert record.connections[0].ending == "quit"
    assert record.connections_open.now == 0


def test_a_tls_failure_is_an_ending_of_its_own() -> None:
    """Why TLS failed is kept, and the ending says that it did."""
    record = SmtpRecord()
    record.open_connection().close("client_closed", tls_failure="TLSV1_ALERT_UNKNOWN_CA")

    assert record.connections[0].ending == "tls_failed"
    assert record.connections[0].tls_failure == "TLSV1_ALERT_UNKNOWN_CA"


def test_connections_and_transactions_are_counted_with_their_peaks() -> None:
    """Now goes up and down, the peak stays; a connection that ends takes its transaction with it."""
    record = SmtpRecord()
    first, second = record.open_connection(), record.open_connection()
    first.open_transaction()
    second.open_transaction()
    first.close_transaction()
    first.close_transaction()
    second.close("client_closed")
    record.open_connection()

    assert [first.id, second.id] == [1, 2]
    assert (record.connections_open.now, record.connections_open.peak) == (2, 2)
    assert (record.transactions_open.now, record.transactions_open.peak) == (0, 2)


def test_waiting_ends_with_the_change_that_was_waited_for() -> None:
    """A change in one thread wakes a test that waits in another."""
    record = SmtpRecord()
    writer = threading.Thread(target=lambda: any(map(record.add_message, [message()] * 3)))
    writer.start()
    record.wait_for(lambda: len(record.messages) == 3, timeout_s=10)
    writer.join()

    assert len(record.messages) == 3


def test_waiting_in_vain_says_in_numbers_what_there_was() -> None:
    """The error helps to find out what happened, and gives away no address."""
    record = SmtpRecord()
    record.open_connection().open_transaction()
    record.add_message(message())
    with pytest.raises(TimeoutError) as caught:
        record.wait_for(lambda: False, timeout_s=0.01)

    assert "1 connections (1 open, 1 in a transaction)" in str(caught.value)
    assert "accepted 1 messages" in str(caught.value)
    assert "@" not in str(caught.value)


def test_a_message_shows_its_content_only_when_asked() -> None:
    """The text is not in the repr; `parsed` reads it."""
    assert "hello" not in repr(message())
    assert message().parsed()["Subject"] == "hello"
    assert message().parsed().get_content() == "body\r\n"


def test_what_is_taken_is_forgotten() -> None:
    """Messages, and connections that have ended; numbers of connections are not given again."""
    record = SmtpRecord()
    ended, open_still = record.open_connection(), record.open_connection()
    record.add_message(message())
    ended.close("quit")

    assert record.take_messages() == (message(),)
    assert (record.messages, record.take_messages()) == ((), ())
    assert [connection.id for connection in record.connections] == [2]
    open_still.close("quit")
    record.open_connection()
    assert [connection.id for connection in record.connections] == [2, 3]
