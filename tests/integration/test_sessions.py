"""One worker keeps its sessions open, reuses them, and ends them in good order."""

from __future__ import annotations

from postroom import Sent
from postroom.testing import SmtpServer
from tests.support.post import PASSWORD, USERNAME, Post, a_message

MESSAGES = 20


def test_messages_with_the_same_details_share_one_connection(post: Post, tls_server: SmtpServer) -> None:
    """Twenty messages, one after the other: one connection, one AUTH, and QUIT when the worker stops."""
    session = post.session(tls_server)
    with post.worker("-c", "1"), post.mailer() as mailer:
        receipts = [mailer.send(a_message(number), session) for number in range(MESSAGES)]
        outcomes = [receipt.outcome(timeout=30) for receipt in receipts]

    (connection,) = tls_server.connections
    assert {type(outcome) for outcome in outcomes} == {Sent}
    assert len(tls_server.messages) == MESSAGES
    assert len(connection.auth_attempts) == 1
    assert connection.ending == "quit"


def test_close_session_ends_every_connection_with_quit(post: Post, tls_server: SmtpServer) -> None:
    """Twenty messages with CloseSession true: twenty connections, each ended by QUIT."""
    session = post.session(tls_server)
    with post.worker("-c", "1"), post.mailer() as mailer:
        for number in range(MESSAGES):
            mailer.send(a_message(number), session, close_session=True)
        tls_server.wait_for_messages(MESSAGES, timeout_s=30)
        tls_server.wait_for(lambda: tls_server.open_connections == 0)

        assert [connection.ending for connection in tls_server.connections] == ["quit"] * MESSAGES


def test_a_server_restarted_in_between_costs_no_attempt(post: Post, tls_server: SmtpServer) -> None:
    """A kept session found dead is reopened at once: all are sent, and each at its first attempt."""
    session = post.session(tls_server)
    with post.worker("-c", "1"), post.mailer() as mailer:
        before = [mailer.send(a_message(number), session).outcome(timeout=30) for number in range(3)]
        tls_server.restart()
        after = [mailer.send(a_message(number), session).outcome(timeout=30) for number in range(3)]

    assert {type(outcome) for outcome in before + after} == {Sent}
    assert {outcome.attempts for outcome in before + after} == {1}
    assert len(tls_server.connections) == 2


def test_another_password_for_the_same_user_is_another_session(post: Post, tls_server: SmtpServer) -> None:
    """A wrong password never rides on the session that the right one opened."""
    right = post.session(tls_server)
    wrong = post.session(tls_server, password="wrong")
    with post.worker("-c", "1"), post.mailer() as mailer:
        first = mailer.send(a_message(1), right).outcome(timeout=30)
        second = mailer.send(a_message(2), wrong).outcome(timeout=30)

    assert isinstance(first, Sent)
    assert second.code == 300
    assert len(tls_server.messages) == 1
    assert [attempt.username for c in tls_server.connections for attempt in c.auth_attempts] == [USERNAME, USERNAME]
    assert PASSWORD not in repr(second.error)
