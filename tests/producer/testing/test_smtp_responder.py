"""Every phase with every action: what a client sees on the wire when a rule fires there."""

import ssl
from collections.abc import Iterator

import pytest

from postroom.testing import CertificateKit, SmtpServer, at
from postroom.testing.smtp_script import Phase
from tests.producer.testing.wire import LINES_TO, Wire, lead_to

REPLY_PHASES = list(LINES_TO)

# What the server itself answers where no rule fires.
OWN_REPLIES = {"GREETING": "220", "STARTTLS": "220", "AUTH": "235", "DATA": "354", "QUIT": "221"}

each_phase = pytest.mark.parametrize("phase", REPLY_PHASES)


@pytest.fixture
def server(certificates: CertificateKit) -> Iterator[SmtpServer]:
    """A server that offers everything, AUTH in the clear included."""
    context = certificates.server_context()
    with SmtpServer(
        tls="starttls", ssl_context=context, users={"user": "secret"}, allow_cleartext_auth=True
    ) as running:
        yield running


def own_reply(phase: Phase) -> str:
    """Return how the server's own answer begins."""
    return OWN_REPLIES.get(phase, "250")


@each_phase
def test_without_a_rule_the_server_lets_the_client_through(server: SmtpServer, phase: Phase) -> None:
    """The questions of this module are good ones: each gets its positive reply."""
    with lead_to(phase, server.port) as wire:
        assert wire.reply().startswith(own_reply(phase))


@each_phase
def test_reply_is_what_the_client_reads(server: SmtpServer, phase: Phase) -> None:
    """Several lines, as they stand, and the connection stays open unless QUIT ends it."""
    server.add_rules(at(phase).reply("450-4.3.0 Not", "450 4.3.0 now").times(1))
    with lead_to(phase, server.port) as wire:
        assert wire.reply() == "450-4.3.0 Not\n450 4.3.0 now"
        if phase == "QUIT":
            assert wire.rest() == b""
        else:
            assert wire.ask("QUIT").startswith("221")


@each_phase
def test_reply_then_close_ends_the_connection_after_the_reply(server: SmtpServer, phase: Phase) -> None:
    """The reply arrives whole, then the end; the record knows who ended it."""
    server.add_rules(at(phase).reply_then_close("421 4.3.2 Going down"))
    with lead_to(phase, server.port) as wire:
        assert wire.rest() == b"421 4.3.2 Going down\r\n"
        assert server.connections[0].ending == ("quit" if phase == "QUIT" else "server_dropped")
        assert server.open_connections == 0


@each_phase
def test_drop_ends_the_connection_without_a_word(server: SmtpServer, phase: Phase) -> None:
    """The client reads an end, nothing else."""
    server.add_rules(at(phase).drop())
    with lead_to(phase, server.port) as wire:
        assert wire.rest() == b""


@each_phase
def test_reset_resets_the_connection(server: SmtpServer, phase: Phase) -> None:
    """The client gets ECONNRESET."""
    server.add_rules(at(phase).reset())
    with pytest.raises(ConnectionResetError), lead_to(phase, server.port) as wire:  # the reset may overtake connect()
        wire.rest()


@each_phase
def test_stall_never_answers(server: SmtpServer, phase: Phase) -> None:
    """The connection stays open and silent, also through a release, until the client leaves."""
    server.add_rules(at(phase).stall())
    with lead_to(phase, server.port) as wire:
        server.release()
        assert wire.is_silent()
    server.wait_for(lambda: server.open_connections == 0)

    assert server.connections[0].ending == "client_closed"


@each_phase
def test_hold_answers_after_release(server: SmtpServer, phase: Phase) -> None:
    """Then as if nothing had been."""
    server.add_rules(at(phase).hold())
    with lead_to(phase, server.port) as wire:
        assert wire.is_silent()
        server.release()
        assert wire.reply().startswith(own_reply(phase))


@each_phase
def test_delay_answers_later(server: SmtpServer, phase: Phase) -> None:
    """A long delay leaves the client waiting, a short one only puts the answer off."""
    server.add_rules(at(phase).delay(3600).on_connection(1), at(phase).delay(0.001).on_connection(2))
    with lead_to(phase, server.port) as first, lead_to(phase, server.port) as second:
        assert second.reply().startswith(own_reply(phase))
        assert first.is_silent()


@each_phase
def test_inject_adds_a_reply_to_the_same_segment(server: SmtpServer, phase: Phase) -> None:
    """A client that reads on takes it for the answer to its next command."""
    server.add_rules(at(phase).inject("250 2.0.0 Nobody asked"))
    with lead_to(phase, server.port) as wire:
        first = wire.segment()
        assert first.startswith(own_reply(phase).encode())
        assert first.endswith(b"\r\n250 2.0.0 Nobody asked\r\n")


@each_phase
def test_split_sends_the_answer_in_pieces(server: SmtpServer, phase: Phase) -> None:
    """No segment holds the whole of it; all of them together do."""
    server.add_rules(at(phase).split().reply("250 2.0.0 Piece by piece").times(1))
    with lead_to(phase, server.port) as wire:
        first = wire.segment()
        assert len(first) < len(b"250 2.0.0 Piece by piece\r\n")
        received = first
        while not received.endswith(b"\n"):
            received += wire.segment()
        assert received == b"250 2.0.0 Piece by piece\r\n"


@each_phase
def test_send_sends_garbage(server: SmtpServer, phase: Phase) -> None:
    """Octets that are no reply, and no line either."""
    server.add_rules(at(phase).send(b"HTTP/1.1 400 Bad Request\r\n\r\n\xff").times(1))
    with lead_to(phase, server.port) as wire:
        assert wire.segment() == b"HTTP/1.1 400 Bad Request\r\n\r\n\xff"


@pytest.mark.parametrize("phase", ["CONNECT", "TLS"])
def test_implicit_tls_can_fail_before_the_handshake(certificates: CertificateKit, phase: Phase) -> None:
    """Each connection its own way: an end, a reset, clear text, silence, and a handshake that comes late."""
    rules = [at(phase).drop(), at(phase).send(b"220 clear\r\n"), at(phase).stall(), at(phase).hold(), at(phase).reset()]
    numbered = [rule.on_connection(number) for number, rule in enumerate(rules, 1)]
    with (
        SmtpServer(tls="implicit", ssl_context=certificates.server_context(), rules=numbered) as server,
        Wire(server.port) as dropped,
        Wire(server.port) as clear,
        Wire(server.port) as stalled,
        Wire(server.port) as held,
    ):
        assert dropped.rest() == b""
        assert clear.segment() == b"220 clear\r\n"
        assert held.is_silent()
        server.release()
        held.start_tls(certificates.client_context())
        assert held.reply().startswith("220 localhost")
        assert stalled.is_silent()
        with pytest.raises(ConnectionResetError), Wire(server.port) as reset:  # the reset may overtake connect()
            reset.rest()


def test_over_tls_a_drop_differs_from_a_close(certificates: CertificateKit) -> None:
    """A close says goodbye (close_notify); a drop ends as an attacker's would, and a reset is a reset."""
    rules = [at("NOOP").reply_then_close("421 Bye"), at("NOOP").drop(), at("NOOP").reset()]
    numbered = [rule.on_connection(number) for number, rule in enumerate(rules, 1)]
    with SmtpServer(tls="implicit", ssl_context=certificates.server_context(), rules=numbered) as server:
        wires = [Wire(server.port, context=certificates.client_context()) for _ in rules]
        for wire in wires:
            wire.reply()
            wire.send("NOOP")
        closed, dropped, reset = wires

        assert closed.rest() == b"421 Bye\r\n"
        with pytest.raises(ssl.SSLError, match="UNEXPECTED_EOF"):
            dropped.rest()
        reset.strip_tls()  # OpenSSL would report any loss of the connection as the same early end
        with pytest.raises(ConnectionResetError):
            reset.rest()
        for wire in wires:
            wire.close()


def test_the_handshake_after_starttls_can_fail(server: SmtpServer) -> None:
    """After a good 220: an end, a reset, clear text, and silence before the client's hello."""
    rules = [at("TLS").drop(), at("TLS").reset(), at("TLS").send(b"250 clear\r\n"), at("TLS").stall()]
    server.add_rules(*(rule.on_connection(number) for number, rule in enumerate(rules, 1)))
    wires = [lead_to("STARTTLS", server.port) for _ in rules]
    dropped, reset, clear, stalled = wires

    assert dropped.rest() == b"220 2.0.0 Go ahead\r\n"
    with pytest.raises(ConnectionResetError):
        reset.rest()
    assert [clear.reply(), clear.reply()] == ["220 2.0.0 Go ahead", "250 clear"]
    assert stalled.reply().startswith("220")
    stalled.send_octets(b"\x16\x03\x01")
    assert stalled.is_silent()
    for wire in wires:
        wire.close()


def test_what_is_injected_at_starttls_comes_before_the_handshake(
    server: SmtpServer, certificates: CertificateKit
) -> None:
    """Response injection: a client that keeps what it read in the clear takes it for the answer to its EHLO."""
    server.add_rules(at("STARTTLS").inject("250-localhost", "250 AUTH PLAIN"))
    with lead_to("STARTTLS", server.port) as wire:
        assert wire.segment() == b"220 2.0.0 Go ahead\r\n250-localhost\r\n250 AUTH PLAIN\r\n"
        wire.start_tls(certificates.client_context())
        assert "STARTTLS" not in wire.ask("EHLO me.test")


def begin_body(port: int, octets: bytes) -> Wire:
    """Return a connection in the middle of a message."""
    wire = lead_to("DATA", port)
    assert wire.reply().startswith("354")
    wire.send_octets(octets)
    return wire


def test_the_body_can_be_answered_before_its_end(server: SmtpServer) -> None:
    """An early 552 arrives although the client is still sending, and the message is not taken."""
    server.add_rules(at("BODY").after_octets(1000).reply_then_close("552 5.3.4 Enough"))
    with begin_body(server.port, b"x" * 500) as wire:
        assert wire.is_silent()
        wire.send_octets(b"x" * 500_000)
        assert wire.rest() == b"552 5.3.4 Enough\r\n"
    server.wait_for(lambda: server.open_connections == 0)

    assert server.messages == ()


@pytest.mark.parametrize("kind", ["drop", "reset"])
def test_the_connection_can_be_lost_in_the_body(server: SmtpServer, kind: str) -> None:
    """The message is not taken."""
    server.add_rules(at("BODY").drop() if kind == "drop" else at("BODY").reset())
    with begin_body(server.port, b"half a message") as wire:
        if kind == "drop":
            assert wire.rest() == b""
        else:
            with pytest.raises(ConnectionResetError):
                wire.rest()

    assert server.messages == ()


def test_the_body_can_be_held(server: SmtpServer) -> None:
    """The rest is read after the release, and the message is whole."""
    server.add_rules(at("BODY").after_octets(3).hold())
    with begin_body(server.port, b"one\r\n") as wire:
        server.wait_for(lambda: server.open_transactions == 1)
        wire.send_octets(b"two\r\n.\r\n")
        assert wire.is_silent()
        server.release()
        assert wire.reply().startswith("250")

    assert server.messages[0].data == b"one\r\ntwo\r\n"


def test_accept_then_drop_takes_the_message_and_never_says_so(server: SmtpServer) -> None:
    """The ambiguous case: one end without an answer, one message."""
    server.add_rules(at("END_OF_DATA").accept_then_drop())
    with lead_to("END_OF_DATA", server.port) as wire:
        assert wire.rest() == b""

    assert len(server.messages) == 1


@pytest.mark.parametrize("kind", ["drop", "reset", "stall", "hold"])
@pytest.mark.parametrize("is_accepting", [False, True])
def test_without_accepting_a_lost_answer_is_a_lost_message(
    server: SmtpServer,
    kind: str,
    is_accepting: bool,  # noqa: FBT001
) -> None:
    """Whether the message was taken is `accepting`'s word alone, however the answer is lost."""
    rule = at("END_OF_DATA").accepting() if is_accepting else at("END_OF_DATA")
    rules = {"drop": rule.drop(), "reset": rule.reset(), "stall": rule.stall(), "hold": rule.hold()}
    server.add_rules(rules[kind])
    with lead_to("END_OF_DATA", server.port) as wire:
        if kind in {"stall", "hold"}:
            assert wire.is_silent()
            assert server.open_transactions == 1
    server.wait_for(lambda: server.open_connections == 0)

    assert len(server.messages) == is_accepting


def test_accepting_counts_even_behind_a_refusal(server: SmtpServer) -> None:
    """A server that says no and delivers all the same."""
    server.add_rules(at("END_OF_DATA").accepting().reply("451 4.3.0 Try again"))
    with lead_to("END_OF_DATA", server.port) as wire:
        assert wire.reply() == "451 4.3.0 Try again"

    assert len(server.messages) == 1


@pytest.mark.parametrize(("reply", "count"), [("251 2.1.5 Will forward", 1), ("252 2.1.5 Perhaps", 1), ("550 No", 0)])
def test_the_first_digit_of_a_scripted_reply_decides(server: SmtpServer, reply: str, count: int) -> None:
    """A recipient is taken with any 2yz."""
    server.add_rules(at("RCPT").matching("c@").reply(reply))
    with lead_to("RCPT", server.port) as wire:
        wire.reply()
        assert wire.ask("RCPT TO:<c@x.test>") == reply
        wire.ask("DATA")
        wire.ask(".")

    assert server.messages[0].recipients == ("b@x.test", "c@x.test")[: 1 + count]


def test_a_line_without_enhanced_codes_is_spelled_so() -> None:
    """A server that does not announce them does not use them; a scripted reply stays as it is."""
    with (
        SmtpServer(extensions=["PIPELINING"], rules=[at("NOOP").reply("250 2.0.0 Scripted")]) as server,
        lead_to("MAIL", server.port) as wire,
    ):
        assert wire.reply() == "250 Sender ok"
        assert wire.ask("NOOP") == "250 2.0.0 Scripted"
        assert wire.ask("DATA") == "554 No valid recipients"
