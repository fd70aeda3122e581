"""A mail transaction: its order, its envelope, and the message as it is taken."""

from collections.abc import Iterator

import pytest

from postroom.testing import SmtpServer, at
from tests.producer.testing.wire import Wire, lead_to


@pytest.fixture
def server() -> Iterator[SmtpServer]:
    """A plain server that takes small messages only."""
    extensions = ["PIPELINING", "SIZE 1000", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES"]
    with SmtpServer(extensions=extensions) as running:
        yield running


@pytest.fixture
def wire(server: SmtpServer) -> Iterator[Wire]:
    """A connection to it, behind EHLO."""
    with lead_to("EHLO", server.port) as connection:
        connection.reply()
        yield connection


def send_message(wire: Wire, text: bytes, *, mail: str = "MAIL FROM:<a@x.test>") -> str:
    """Carry out a transaction and return the last reply; `text` is what goes over the wire, less the final dot."""
    assert wire.ask(mail).startswith("250")
    assert wire.ask("RCPT TO:<b@x.test>").startswith("250")
    assert wire.ask("DATA").startswith("354")
    wire.send_octets(text + b".\r\n")
    return wire.reply()


def test_an_envelope_is_recorded_as_it_was_given(server: SmtpServer, wire: Wire) -> None:
    """Sender with its parameters, the accepted recipients in their order."""
    server.add_rules(at("RCPT").matching("no@").reply("550 5.1.1 No"))
    wire.ask("MAIL FROM:<a@x.test> SIZE=100 BODY=8BITMIME")
    replies = [wire.ask(f"RCPT TO:<{name}@x.test>")[:3] for name in ("d", "no", "b", "c", "b")]
    wire.ask("DATA")
    wire.ask("Subject: hello", "", "body", ".")
    message = server.messages[0]

    assert replies == ["250", "550", "250", "250", "250"]
    assert (message.sender, message.parameters) == ("a@x.test", {"SIZE": "100", "BODY": "8BITMIME"})
    assert message.recipients == ("d@x.test", "b@x.test", "c@x.test", "b@x.test")
    assert (message.connection_id, message.username) == (1, None)
    assert server.connections[0].opened_at <= message.accepted_at
    assert message.parsed()["Subject"] == "hello"


def test_many_transactions_on_one_connection(server: SmtpServer, wire: Wire) -> None:
    """Each message is its own, and the connection is one."""
    for number in range(3):
        assert send_message(wire, b"%d\r\n" % number).startswith("250")

    assert [message.data for message in server.messages] == [b"0\r\n", b"1\r\n", b"2\r\n"]
    assert len(server.connections) == 1
    assert (server.open_transactions, server.peak_transactions) == (0, 1)


@pytest.mark.parametrize(
    ("commands", "reply"),
    [
        (["RCPT TO:<b@x.test>"], "503 5.5.1"),
        (["DATA"], "503 5.5.1"),
        (["MAIL FROM:<a@x.test>", "DATA"], "554 5.5.1"),
        (["MAIL FROM:<a@x.test>", "MAIL FROM:<a@x.test>"], "503 5.5.1"),
        (["MAIL FROM:<a@x.test>", "RCPT TO:<b@x.test>", "DATA now"], "501 5.5.4"),
        (["MAIL FROM:<a@x.test>", "RSET", "RCPT TO:<b@x.test>"], "503 5.5.1"),
        (["MAIL FROM:<a@x.test>", "EHLO me.test", "RCPT TO:<b@x.test>"], "503 5.5.1"),
        (["MAIL FROM:<a@x.test>", "HELO me.test", "RCPT TO:<b@x.test>"], "503 5.5.1"),
        (["MAIL FROM:<a@x.test>", "NOOP", "RCPT TO:<b@x.test>"], "250 2.1.5"),
        (["MAIL FROM: <a@x.test>"], "501 5.1.7"),
        (["MAIL FROM:<a@x.test> SIZE=1001"], "552 5.3.4"),
        (["MAIL FROM:<a@x.test> SIZE=1000"], "250 2.1.0"),
        (["MAIL FROM:<a@x.test> RET=HDRS"], "555 5.5.4"),
        (["MAIL FROM:<grün@x.test>"], "553 5.6.7"),
        (["MAIL FROM:<grün@x.test> SMTPUTF8", "RCPT TO:<grün@x.test>"], "250 2.1.5"),
        (["MAIL FROM:<a@x.test>", "RCPT TO:<grün@x.test>"], "553 5.6.7"),
        (["MAIL FROM:<a@x.test>", "RCPT TO:<b@x.test> NOTIFY=NEVER"], "555 5.5.4"),
        (["MAIL FROM:<a@x.test>", "RCPT TO:<>"], "501 5.1.3"),
        (["MAIL FROM:<>", "RCPT TO:<Postmaster>"], "250 2.1.5"),
    ],
)
def test_the_order_and_syntax_of_commands(wire: Wire, commands: list[str], reply: str) -> None:
    """The last command gets this reply; those before it are taken."""
    *before, last = commands
    assert all(wire.ask(command).startswith("250") for command in before)

    assert wire.ask(last).startswith(reply)


def test_mail_comes_after_ehlo(server: SmtpServer) -> None:
    """503 before it; HELO will do."""
    with Wire(server.port) as wire:
        wire.reply()
        assert wire.ask("MAIL FROM:<a@x.test>").startswith("503")
        wire.ask("HELO me.test")
        assert wire.ask("MAIL FROM:<a@x.test>").startswith("250")


def test_mail_may_need_a_login() -> None:
    """530 until then, and the message knows who sent it."""
    with (
        SmtpServer(users={"user": "secret"}, allow_cleartext_auth=True, require_auth=True) as server,
        lead_to("EHLO", server.port) as wire,
    ):
        wire.reply()
        assert wire.ask("MAIL FROM:<a@x.test>").startswith("530 5.7.0")
        wire.ask("AUTH PLAIN AHVzZXIAc2VjcmV0")
        send_message(wire, b"body\r\n")
        assert server.messages[0].username == "user"


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (b"", b""),
        (b"body\r\n", b"body\r\n"),
        (b"..\r\n...dots\r\na.b\r\n", b".\r\n..dots\r\na.b\r\n"),
        (b"no line end at a dot.\r\n", b"no line end at a dot.\r\n"),
        (b"\r\n", b"\r\n"),
    ],
)
def test_a_message_is_kept_as_it_was_meant(server: SmtpServer, wire: Wire, sent: bytes, kept: bytes) -> None:
    """Octet for octet, less the dots that stuffing added."""
    assert send_message(wire, sent).startswith("250")
    assert server.messages[0].data == kept
    assert server.connections[0].violations == ()


def test_all_octets_pass(server: SmtpServer, wire: Wire) -> None:
    """An eight-bit message is kept as it is; NUL, bare CR and bare LF too, and are held against the client."""
    octets = bytes(range(256)) + b"\r\n"
    send_message(wire, octets, mail="MAIL FROM:<a@x.test> BODY=8BITMIME")

    assert server.messages[0].data == octets
    assert server.connections[0].violations == (
        "bare LF in the message",
        "bare CR in the message",
        "NUL in the message",
    )


@pytest.mark.parametrize(
    "smuggled",
    [b"\n.\n", b"\n.\r\n", b"\r.\r", b"\r\n.\n", b"\r.\r\n", b"\r\n.\r", b"\r\n\0.\r\n", b"\r\n.\0\r\n"],
)
def test_only_crlf_dot_crlf_ends_a_message(server: SmtpServer, wire: Wire, smuggled: bytes) -> None:
    """What looser servers take for an end is text here: nothing smuggled behind it becomes a second message."""
    text = b"one" + smuggled + b"MAIL FROM:<evil@x.test>\r\nRCPT TO:<victim@x.test>\r\nDATA\r\ntwo\r\n"
    assert send_message(wire, text).startswith("250")
    assert wire.ask("NOOP").startswith("250")

    assert len(server.messages) == 1
    assert b"evil" in server.messages[0].data
    assert server.connections[0].verbs == ("EHLO", "MAIL", "RCPT", "DATA", "NOOP")
    assert server.connections[0].violations


def test_an_end_that_a_client_forgot_to_stuff_shows(server: SmtpServer, wire: Wire) -> None:
    """What follows it is obeyed, and stands in the record: this is what a test for smuggling looks for."""
    wire.ask("MAIL FROM:<a@x.test>")
    wire.ask("RCPT TO:<b@x.test>")
    wire.ask("DATA")
    wire.send_octets(b"one\r\n.\r\nMAIL FROM:<evil@x.test>\r\nRCPT TO:<victim@x.test>\r\nDATA\r\n")
    assert [wire.reply()[:3] for _ in range(4)] == ["250", "250", "250", "354"]
    wire.send_octets(b"two\r\n.\r\n")
    wire.reply()

    assert [message.sender for message in server.messages] == ["a@x.test", "evil@x.test"]


def test_the_end_may_come_in_pieces(server: SmtpServer, wire: Wire) -> None:
    """However the octets are cut, the message is the same."""
    for command in ("MAIL FROM:<a@x.test>", "RCPT TO:<b@x.test>", "DATA"):
        wire.ask(command)
    for octet in b"one\r\n..two\r\n.\r\n":
        wire.send_octets(bytes([octet]))
        wire.is_silent()
    assert wire.reply().startswith("250")

    assert server.messages[0].data == b"one\r\n.two\r\n"


def test_a_message_over_the_size_is_refused_after_the_dot(server: SmtpServer, wire: Wire) -> None:
    """552, and the connection goes on; dots added by stuffing do not count."""
    assert send_message(wire, b"x" * 999 + b"\r\n").startswith("552 5.3.4")
    assert server.open_transactions == 0
    assert send_message(wire, b".." + b"x" * 997 + b"\r\n").startswith("250")

    assert [len(message.data) for message in server.messages] == [1000]


def test_without_size_anything_is_taken() -> None:
    """No limit, and no SIZE parameter either."""
    with SmtpServer(extensions=["PIPELINING"]) as server, lead_to("EHLO", server.port) as wire:
        wire.reply()
        assert wire.ask("MAIL FROM:<a@x.test> SIZE=5").startswith("555")
        text = (b"x" * 70 + b"\r\n") * 200_000
        assert send_message(wire, text).startswith("250")
        assert server.messages[0].data == text


def test_a_message_cut_off_is_not_accepted(server: SmtpServer, wire: Wire) -> None:
    """Without its final dot a message is none (RFC 5321 §3.8), and its transaction ends."""
    for command in ("MAIL FROM:<a@x.test>", "RCPT TO:<b@x.test>", "DATA"):
        wire.ask(command)
    wire.send_octets(b"half a message\r\n")
    assert server.open_transactions == 1
    wire.close()
    server.wait_for(lambda: server.open_connections == 0)

    assert (server.messages, server.open_transactions) == ((), 0)


@pytest.mark.parametrize("phase", ["MAIL", "RCPT", "DATA", "END_OF_DATA"])
def test_a_refused_step_is_not_taken(server: SmtpServer, wire: Wire, phase: str) -> None:
    """After a refusal at each step the state is as if it had not been asked, and RSET makes all well."""
    server.add_rules(at(phase).reply("450 4.0.0 Later").times(1))  # type: ignore[arg-type]
    wire.send("MAIL FROM:<a@x.test>", "RCPT TO:<b@x.test>", "DATA")
    if [wire.reply()[:3] for _ in range(3)][-1] == "354":
        wire.ask("body", ".")
    assert not server.messages
    wire.ask("RSET")
    assert send_message(wire, b"again\r\n").startswith("250")

    (taken,) = server.messages
    assert taken.data == b"again\r\n"


def test_a_rule_sees_the_envelope_at_data() -> None:
    """By any of its addresses; `when` sees how many recipients there are, and which transaction it is."""
    rules = [
        at("DATA").matching("grey@").reply("451 4.7.1 Grey"),
        at("RCPT").when(lambda moment: len(moment.recipients) >= 2).reply("452 4.5.3 Too many"),
        at("MAIL").when(lambda moment: moment.transaction >= 2).reply_then_close("421 4.7.0 Enough"),
    ]
    with SmtpServer(rules=rules) as server, lead_to("EHLO", server.port) as wire:
        wire.reply()
        wire.ask("MAIL FROM:<a@x.test>")
        replies = [wire.ask(f"RCPT TO:<{name}@x.test>") for name in ("b", "grey", "c")]
        assert replies[2] == "452 4.5.3 Too many"
        assert wire.ask("DATA") == "451 4.7.1 Grey"
        wire.ask("RSET")
        send_message(wire, b"body\r\n")
        wire.send("MAIL FROM:<a@x.test>")
        assert wire.rest() == b"421 4.7.0 Enough\r\n"
