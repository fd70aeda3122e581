"""The conversation around a transaction: greeting, EHLO, STARTTLS, AUTH, order of commands, and what is held against it."""

import base64
import socket
from collections.abc import Iterator

import pytest

from postroom.testing import AuthAttempt, CertificateKit, SmtpServer, at
from tests.producer.testing.wire import Wire, lead_to

USERS = {"user": "secret"}


@pytest.fixture
def server() -> Iterator[SmtpServer]:
    """A plain server with one user who may log in in the clear."""
    with SmtpServer(users=USERS, allow_cleartext_auth=True) as running:
        yield running


@pytest.fixture
def wire(server: SmtpServer) -> Iterator[Wire]:
    """A connection to it, behind EHLO."""
    with Wire(server.port) as connection:
        connection.reply()
        connection.ask("EHLO me.test")
        yield connection


def plain(username: str, password: str) -> str:
    """Return an AUTH PLAIN command."""
    return f"AUTH PLAIN {base64.b64encode(f'{chr(0)}{username}{chr(0)}{password}'.encode()).decode()}"


def test_ehlo_announces_what_the_server_has(wire: Wire) -> None:
    """The name, then the extensions in their order, then AUTH."""
    assert wire.ask("EHLO me.test").split("\n") == [
        "250-localhost",
        "250-PIPELINING",
        "250-SIZE 10485760",
        "250-8BITMIME",
        "250-SMTPUTF8",
        "250-ENHANCEDSTATUSCODES",
        "250 AUTH PLAIN LOGIN",
    ]


def test_a_server_without_extensions_announces_none() -> None:
    """One line, and HELO is as good as EHLO."""
    with SmtpServer(extensions=()) as server, Wire(server.port) as wire:
        assert wire.reply() == "220 localhost ESMTP Postroom test server"
        assert wire.ask("EHLO me.test") == "250 localhost"
        assert wire.ask("HELO me.test") == "250 localhost"


def test_ehlo_can_be_scripted() -> None:
    """What is announced can be anything."""
    with (
        SmtpServer(rules=[at("EHLO").reply("250-other", "250 SIZE 5")]) as server,
        lead_to("EHLO", server.port) as wire,
    ):
        assert wire.reply() == "250-other\n250 SIZE 5"


@pytest.mark.parametrize(
    ("command", "reply"),
    [
        ("EHLO", "501 5.5.4"),
        ("EHLO two words", "501 5.5.4"),
        ("HELO grün.test", "501 5.5.4"),
        ("NONSENSE", "500 5.5.2"),
        ("", "500 5.5.2"),
        ("BDAT 5 LAST", "500 5.5.2"),
        ("MAIL\tFROM:<a@x.test>", "500 5.5.2"),
        ("noop and more", "250 2.0.0"),
        ("VRFY root", "252 2.5.2"),
        ("QUIT now", "501 5.5.4"),
        ("RSET now", "501 5.5.4"),
        ("STARTTLS", "502 5.5.1"),
        ("AUTH CRAM-MD5", "504 5.5.4"),
        ("AUTH PLAIN !", "501 5.5.2"),
        ("auth plain AHVzZXIAc2VjcmV0", "235 2.7.0"),
        ("NOOP\n", "500 5.5.2"),
        ("NOOP\rRSET", "500 5.5.2"),
        ("RSET\nMAIL FROM:<a@x.test>", "500 5.5.2"),
        ("NOOP \0", "500 5.5.2"),
    ],
)
def test_single_commands(wire: Wire, command: str, reply: str) -> None:
    """Each gets its reply, and the conversation goes on."""
    assert wire.ask(command).startswith(reply)
    assert wire.ask("NOOP").startswith("250")


def test_control_characters_in_a_command_are_held_against_the_client(server: SmtpServer, wire: Wire) -> None:
    """A bare LF does not end a command, and the record says that there was one."""
    wire.ask("RSET\nMAIL FROM:<a@x.test>")

    assert server.connections[0].violations == ("bare CR, bare LF or NUL in a command",)
    assert server.open_transactions == 0


def test_a_command_has_a_limit(server: SmtpServer, wire: Wire) -> None:
    """Too long a line ends the connection."""
    wire.send("NOOP " + "x" * 5000)

    assert wire.rest() == b"500 5.5.2 Line too long\r\n"
    assert server.connections[0].violations == ("command line too long",)


def test_quit_ends_the_connection(server: SmtpServer, wire: Wire) -> None:
    """221, the end, and the record has it before the client has the reply."""
    assert wire.ask("QUIT").startswith("221 2.0.0")
    connection = server.connections[0]
    assert (connection.ending, connection.closed_at is not None) == ("quit", True)
    assert connection.verbs == ("EHLO", "QUIT")
    assert wire.rest() == b""


def test_a_client_that_just_leaves_is_recorded_as_such(server: SmtpServer, wire: Wire) -> None:
    """No QUIT, no goodbye."""
    wire.close()
    server.wait_for(lambda: server.open_connections == 0)

    assert server.connections[0].ending == "client_closed"


def test_quit_and_close_in_one_is_still_a_quit(server: SmtpServer, wire: Wire) -> None:
    """A client that does not wait for the 221 has said goodbye all the same."""
    wire.send("QUIT")
    wire.socket.shutdown(socket.SHUT_WR)
    wire.rest()

    assert server.connections[0].ending == "quit"


def test_after_a_refusing_greeting_only_quit_is_served() -> None:
    """503 for all else (RFC 5321 §3.1)."""
    with SmtpServer(rules=[at("GREETING").reply("554 5.3.2 No")]) as server, Wire(server.port) as wire:
        assert wire.reply() == "554 5.3.2 No"
        assert wire.ask("EHLO me.test").startswith("503")
        assert wire.ask("QUIT").startswith("221")


# Pipelining.


def test_a_group_of_commands_is_answered_in_order(wire: Wire) -> None:
    """MAIL, RCPT and DATA in one segment, where PIPELINING is announced."""
    wire.send("MAIL FROM:<a@x.test>", "RCPT TO:<b@x.test>", "RCPT TO:<c@x.test>", "DATA")

    assert [wire.reply()[:3] for _ in range(4)] == ["250", "250", "250", "354"]


def test_without_pipelining_a_group_is_refused() -> None:
    """The first command with another behind it ends the connection."""
    with SmtpServer(extensions=["SIZE 1000"]) as server, Wire(server.port) as wire:
        wire.reply()
        wire.ask("EHLO me.test")
        wire.send("MAIL FROM:<a@x.test>", "RCPT TO:<b@x.test>")
        assert wire.rest() == b"554 Synchronization error\r\n"
        assert server.connections[0].violations == ("input behind a command, out of turn",)
        assert server.connections[0].ending == "server_dropped"


@pytest.mark.parametrize("last", ["EHLO me.test", "NOOP", "QUIT", "STARTTLS", "AUTH PLAIN AHVzZXIAc2VjcmV0", "DATA"])
def test_what_has_to_end_a_group_ends_it(server: SmtpServer, wire: Wire, last: str) -> None:
    """Nothing may stand behind it in one segment, PIPELINING or not (RFC 2920 §3.1)."""
    wire.send(last, "RSET")

    assert wire.rest() == b"554 5.5.0 Synchronization error\r\n"
    assert server.connections[0].violations


# TLS.


@pytest.fixture
def tls_server(certificates: CertificateKit) -> Iterator[SmtpServer]:
    """A server with STARTTLS and a user who needs it."""
    with SmtpServer(tls="starttls", ssl_context=certificates.server_context(), users=USERS) as running:
        yield running


def test_starttls_starts_over(tls_server: SmtpServer, certificates: CertificateKit) -> None:
    """Behind TLS the client greets anew, and is offered AUTH in place of STARTTLS."""
    with Wire(tls_server.port) as wire:
        wire.reply()
        assert "STARTTLS" in wire.ask("EHLO me.test")
        assert wire.ask("STARTTLS").startswith("220")
        wire.start_tls(certificates.client_context())
        assert wire.ask("MAIL FROM:<a@x.test>").startswith("503")
        keywords = wire.ask("EHLO me.test")
        assert "STARTTLS" not in keywords
        assert "AUTH PLAIN LOGIN" in keywords
        assert wire.ask("STARTTLS").startswith("503")
        assert wire.ask(plain("user", "secret")).startswith("235")
        assert wire.ask("QUIT").startswith("221")

    assert tls_server.connections[0].tls_version == "TLSv1.3"
    assert tls_server.connections[0].verbs[:4] == ("EHLO", "STARTTLS", "MAIL", "EHLO")


def test_a_transaction_does_not_survive_starttls(tls_server: SmtpServer, certificates: CertificateKit) -> None:
    """What was said in the clear is forgotten (RFC 3207 §4.2)."""
    with lead_to("RCPT", tls_server.port) as wire:
        wire.reply()
        wire.ask("STARTTLS")
        wire.start_tls(certificates.client_context())
        wire.ask("EHLO me.test")
        assert wire.ask("DATA").startswith("503")
        assert tls_server.open_transactions == 0


def test_a_login_does_not_survive_starttls(certificates: CertificateKit) -> None:
    """Who logged in in the clear is nobody behind TLS, and may log in again."""
    context = certificates.server_context()
    with (
        SmtpServer(
            tls="starttls", ssl_context=context, users=USERS, allow_cleartext_auth=True, require_auth=True
        ) as server,
        lead_to("AUTH", server.port) as wire,
    ):
        assert wire.reply().startswith("235")
        wire.ask("STARTTLS")
        wire.start_tls(certificates.client_context())
        wire.ask("EHLO me.test")
        assert wire.ask("MAIL FROM:<a@x.test>").startswith("530")
        assert wire.ask(plain("user", "secret")).startswith("235")


def test_commands_smuggled_behind_starttls_are_not_obeyed(tls_server: SmtpServer) -> None:
    """Clear text in the segment of STARTTLS ends the connection (CVE-2011-0411)."""
    with Wire(tls_server.port) as wire:
        wire.reply()
        wire.ask("EHLO me.test")
        wire.send("STARTTLS", "RSET")
        assert wire.rest() == b"554 5.5.0 Synchronization error\r\n"

    assert tls_server.connections[0].verbs == ("EHLO", "STARTTLS")


def test_a_refused_starttls_leaves_the_connection_in_the_clear(tls_server: SmtpServer) -> None:
    """The client may go on without, or quit."""
    tls_server.add_rules(at("STARTTLS").reply("454 4.7.0 Not now"))
    with lead_to("STARTTLS", tls_server.port) as wire:
        assert wire.reply() == "454 4.7.0 Not now"
        assert wire.ask("MAIL FROM:<a@x.test>").startswith("250")


def test_a_failed_handshake_is_recorded_with_its_reason(tls_server: SmtpServer) -> None:
    """Clear text where a hello should come."""
    with lead_to("STARTTLS", tls_server.port) as wire:
        wire.reply()
        wire.send("EHLO me.test")
        wire.rest()
    tls_server.wait_for(lambda: tls_server.open_connections == 0)
    connection = tls_server.connections[0]

    assert (connection.ending, connection.tls_failure) == ("tls_failed", "WRONG_VERSION_NUMBER")


# AUTH.


def test_a_good_login_is_one_attempt(server: SmtpServer, wire: Wire) -> None:
    """Recorded with mechanism and user; a second one is out of order."""
    assert wire.ask(plain("user", "secret")).startswith("235 2.7.0")
    assert wire.ask(plain("user", "secret")).startswith("503")

    assert server.connections[0].auth_attempts == (
        AuthAttempt("PLAIN", "user", has_succeeded=True),
        AuthAttempt("PLAIN"),
    )


@pytest.mark.parametrize(("username", "password"), [("user", "wrong"), ("nobody", "secret"), ("", "")])
def test_a_bad_login_is_one_attempt(server: SmtpServer, wire: Wire, username: str, password: str) -> None:
    """535, and the client may try again."""
    assert wire.ask(plain(username, password)).startswith("535 5.7.8")
    assert server.connections[0].auth_attempts == (AuthAttempt("PLAIN", username),)
    assert wire.ask(plain("user", "secret")).startswith("235")


def test_login_is_understood(server: SmtpServer, wire: Wire) -> None:
    """The mechanism that asks twice."""
    assert wire.ask("AUTH LOGIN") == "334 VXNlcm5hbWU6"
    assert wire.ask(base64.b64encode(b"user").decode()) == "334 UGFzc3dvcmQ6"
    assert wire.ask(base64.b64encode(b"secret").decode()).startswith("235")
    assert server.connections[0].auth_attempts == (AuthAttempt("LOGIN", "user", has_succeeded=True),)


def test_a_cancelled_login_is_an_attempt_too(server: SmtpServer, wire: Wire) -> None:
    """One AUTH command, no user."""
    wire.ask("AUTH PLAIN")
    assert wire.ask("*").startswith("501 5.7.0")
    assert server.connections[0].auth_attempts == (AuthAttempt("PLAIN"),)


def test_no_password_is_kept_anywhere(server: SmtpServer, wire: Wire) -> None:
    """Neither in clear nor in base64, good or bad, whatever the mechanism."""
    wire.ask(plain("user", "wr0ng-passw0rd"))
    wire.ask("AUTH LOGIN " + base64.b64encode(b"user").decode())
    wire.ask(base64.b64encode(b"secret").decode())
    record = repr(server.connections)

    assert server.connections[0].commands[1:] == ("AUTH PLAIN ****", "AUTH LOGIN ****")
    for secret in (b"wr0ng-passw0rd", b"secret", b"\0user\0wr0ng-passw0rd"):
        assert secret.decode() not in record
        assert base64.b64encode(secret).decode() not in record


def test_a_scripted_auth_reply_decides() -> None:
    """A good password refused, a bad one let in, by user and by mechanism."""
    rules = [
        at("AUTH").matching("LOGIN").reply("454 4.7.0 Later"),
        at("AUTH").matching("guest").reply("235 2.7.0 So be it"),
    ]
    with (
        SmtpServer(users=USERS, allow_cleartext_auth=True, rules=rules) as server,
        lead_to("EHLO", server.port) as wire,
    ):
        wire.reply()
        wire.ask("AUTH LOGIN " + base64.b64encode(b"user").decode())
        assert wire.ask(base64.b64encode(b"secret").decode()) == "454 4.7.0 Later"
        assert wire.ask(plain("guest", "anything")) == "235 2.7.0 So be it"
        assert [attempt.has_succeeded for attempt in server.connections[0].auth_attempts] == [False, True]


def test_auth_needs_tls_unless_allowed(tls_server: SmtpServer) -> None:
    """538 in the clear (RFC 4954 §6), and it is not announced."""
    with Wire(tls_server.port) as wire:
        wire.reply()
        assert "AUTH" not in wire.ask("EHLO me.test")
        assert wire.ask(plain("user", "secret")).startswith("538 5.7.11")


def test_a_server_without_users_has_no_auth() -> None:
    """503, as Postfix says."""
    with SmtpServer(allow_cleartext_auth=True) as server, lead_to("AUTH", server.port) as wire:
        assert wire.reply().startswith("503")


def test_auth_comes_after_ehlo_and_before_a_transaction(server: SmtpServer, wire: Wire) -> None:
    """503 otherwise (RFC 4954 §4)."""
    with Wire(server.port) as fresh:
        fresh.reply()
        assert fresh.ask(plain("user", "secret")).startswith("503")
    wire.ask("MAIL FROM:<a@x.test>")
    assert wire.ask(plain("user", "secret")).startswith("503")


def test_a_mechanism_may_be_announced_that_is_not_understood() -> None:
    """For a client that has none in common: 504."""
    with (
        SmtpServer(users=USERS, auth_mechanisms=["XOAUTH2"], allow_cleartext_auth=True) as server,
        Wire(server.port) as wire,
    ):
        wire.reply()
        assert wire.ask("EHLO me.test").endswith("250 AUTH XOAUTH2")
        assert wire.ask("AUTH XOAUTH2 AAAA").startswith("504 5.5.4")
        assert wire.ask(plain("user", "secret")).startswith("504 5.5.4")
