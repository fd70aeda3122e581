"""What is tried again and what is not, against real servers that fail for a while."""

from __future__ import annotations

import threading

from postroom import Failed, Partial, Sent, State, Unknown
from postroom.testing import SmtpServer, at, free_port
from tests.support.post import Post, a_message
from tests.support.waiting import wait_until


def test_a_port_that_opens_after_some_seconds_is_sent_to(post: Post) -> None:
    """A refused connection is tried again until the server is there."""
    port = free_port()
    session = post.session(port, use_ssl=False, password=None)
    with post.worker(), post.mailer() as mailer:
        receipt = mailer.send(a_message(), session)
        wait_until(lambda: receipt.state() == State.RETRYING, 30, "the first refusal")
        opening = threading.Timer(5, lambda: None)
        opening.start()
        opening.join()
        with SmtpServer(port=port) as server:
            outcome = receipt.outcome(timeout=30)

            assert len(server.messages) == 1
    assert isinstance(outcome, Sent)
    assert outcome.attempts > 1


def test_a_wrong_password_is_one_auth_command_and_no_retry(post: Post, tls_server: SmtpServer) -> None:
    """300 at once: accounts are locked by clients that try again."""
    with post.worker(), post.mailer() as mailer:
        outcome = mailer.send(a_message(), post.session(tls_server, password="wrong")).outcome(timeout=30)

    assert isinstance(outcome, Failed)
    assert (outcome.code, outcome.attempts) == (300, 1)
    assert [verb for c in tls_server.connections for verb in c.verbs].count("AUTH") == 1


def test_a_temporary_reply_is_tried_again_when_it_says_so(post: Post) -> None:
    """A 4yz reply to RCPT puts the recipient off for as long as the reply names."""
    rules = [at("RCPT").reply("450 4.2.0 Busy, try again in 1 second").times(1)]
    with SmtpServer(rules=rules) as server, post.worker(), post.mailer() as mailer:
        outcome = mailer.send(a_message(), post.session(server, use_ssl=False, password=None)).outcome(timeout=30)

    assert isinstance(outcome, Sent)
    assert outcome.attempts == 2


def test_a_permanent_refusal_of_one_recipient_is_told_and_the_rest_are_sent(post: Post) -> None:
    """Some accepted and one refused for good: partial, with the server's reply, and nobody is sent to twice."""
    message = a_message(to=["ann@example.com", "nobody@example.com", "later@example.com"])
    rules = [
        at("RCPT").matching("nobody@").reply("550 5.1.1 No such user"),
        at("RCPT").matching("later@").reply("450 4.2.0 try again in 1 second").times(1),
    ]
    with SmtpServer(rules=rules) as server:
        with post.worker(), post.mailer() as mailer:
            outcome = mailer.send(message, post.session(server, use_ssl=False, password=None)).outcome(timeout=30)

        assert [m.recipients for m in server.messages] == [("ann@example.com",), ("later@example.com",)]
    assert isinstance(outcome, Partial)
    assert sorted(outcome.accepted) == ["ann@example.com", "later@example.com"]
    assert {a: (r.code, r.enhanced) for a, r in outcome.refused.items()} == {"nobody@example.com": (550, "5.1.1")}


def test_a_retry_is_the_same_message_to_the_byte(post: Post) -> None:
    """Message-ID, Date and boundaries stay, so that a server can recognise what it has seen."""
    seen = at("END_OF_DATA").accepting().reply("451 4.3.0 try again in 1 second").times(1)
    with SmtpServer(rules=[seen]) as server:
        with post.worker(), post.mailer() as mailer:
            mailer.send(a_message(), post.session(server, use_ssl=False, password=None)).outcome(timeout=30)

        first, second = server.messages
    assert first.data == second.data


def test_a_message_in_doubt_is_sent_once_more_and_says_so(post: Post) -> None:
    """Accepted and not confirmed: the same message goes out a second time, and the outcome warns."""
    with SmtpServer(rules=[at("END_OF_DATA").accept_then_drop().times(1)]) as server:
        with post.worker(), post.mailer() as mailer:
            outcome = mailer.send(a_message(), post.session(server, use_ssl=False, password=None)).outcome(timeout=30)

        first, second = server.messages
    assert first.data == second.data
    assert isinstance(outcome, Sent)
    assert (outcome.attempts, outcome.possible_duplicate) == (2, True)


def test_a_server_that_never_answers_leaves_it_unknown(post: Post) -> None:
    """Twice accepted and never confirmed: unknown, code 1303, and never sent a third time."""
    with SmtpServer(rules=[at("END_OF_DATA").accept_then_drop()]) as server:
        with post.worker(), post.mailer() as mailer:
            outcome = mailer.send(a_message(), post.session(server, use_ssl=False, password=None)).outcome(timeout=30)

        assert len(server.messages) == 2
    assert isinstance(outcome, Unknown)
    assert (outcome.code, outcome.unknown, outcome.possible_duplicate) == (1303, ["ann0@example.com"], True)


def test_a_connection_lost_before_the_last_byte_is_tried_again(post: Post) -> None:
    """Nothing was sent, so a retry is safe."""
    with SmtpServer(rules=[at("DATA").drop().times(1)]) as server:
        with post.worker(), post.mailer() as mailer:
            outcome = mailer.send(a_message(), post.session(server, use_ssl=False, password=None)).outcome(timeout=30)

        assert len(server.messages) == 1
    assert isinstance(outcome, Sent)
    assert outcome.attempts == 2
