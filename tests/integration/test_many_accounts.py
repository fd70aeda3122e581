"""Many accounts at once in one worker process: each gets its connections, and none waits for another's server."""

from __future__ import annotations

from postroom import Sent, State
from postroom.testing import SmtpServer, at
from tests.support.post import Post, a_message

ACCOUNTS = 40
CONNECTIONS = 3


def test_forty_accounts_send_over_three_connections_each(post: Post) -> None:
    """A server that holds every transaction open sees 120 of them at once, from one worker process."""
    users = {f"clerk{number}@example.com": f"secret {number}" for number in range(ACCOUNTS)}
    with SmtpServer(users=users, allow_cleartext_auth=True, rules=[at("END_OF_DATA").hold()]) as server:
        sessions = [clear_session(post, server, user, password) for user, password in users.items()]
        with post.worker("-c", str(ACCOUNTS * CONNECTIONS * 2)), post.mailer() as mailer:
            receipts = [mailer.send(a_message(n), session) for session in sessions for n in range(CONNECTIONS + 1)]
            server.wait_for(lambda: server.open_transactions == ACCOUNTS * CONNECTIONS, timeout_s=60)
            server.release()
            outcomes = {type(receipt.outcome(timeout=60)) for receipt in receipts}

        assert outcomes == {Sent}
        assert server.peak_transactions == ACCOUNTS * CONNECTIONS


def test_a_server_that_hangs_holds_up_only_its_own_account(post: Post) -> None:
    """Mail for the other accounts flows while one server never answers."""
    with (
        SmtpServer(rules=[at("MAIL").stall()]) as hanging,
        SmtpServer() as well,
        post.worker("-c", "20", POSTROOM_DRAIN_S="1"),
        post.mailer() as mailer,
    ):
        stuck = [mailer.send(a_message(n), post.session(hanging, use_ssl=False, password=None)) for n in range(6)]
        hanging.wait_for(lambda: hanging.open_connections == CONNECTIONS, timeout_s=30)
        others = [mailer.send(a_message(n), post.session(well, use_ssl=False, password=None)) for n in range(50)]
        outcomes = {type(receipt.outcome(timeout=30)) for receipt in others}
        states = {receipt.state() for receipt in stuck}

    assert outcomes == {Sent}
    assert states == {State.SENDING}


def clear_session(post: Post, server: SmtpServer, user: str, password: str) -> dict[str, object]:
    """A session without TLS, which would only cost time here."""
    token = post.encrypt(password, server.port, use_ssl=False, username=user).token
    return {
        "ServerDetails": {"Host": "localhost", "Port": server.port, "UseSsl": False, "AllowCleartext": True},
        "Credentials": {"Username": user, "Password": token},
    }
