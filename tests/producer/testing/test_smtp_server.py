"""The server as a whole, with real clients: running, stopping, waiting, holding, and many at once."""

import asyncio
import gc
import smtplib
import socket
import ssl
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from postroom.testing import CertificateKit, Moment, SmtpServer, at
from tests.producer.testing.wire import Wire, lead_to

MESSAGE = "Subject: hello\r\n\r\n.dot\r\nbody\r\n"


def send(server: SmtpServer, *, count: int = 1, sender: str = "a@x.test") -> None:
    """Send messages over one connection of the standard library's client."""
    with smtplib.SMTP("127.0.0.1", server.port, timeout=30) as client:
        for _ in range(count):
            client.sendmail(sender, ["b@x.test", "c@x.test"], MESSAGE)


@pytest.mark.parametrize("tls", ["none", "starttls", "implicit"])
def test_the_standard_client_sends_a_message(certificates: CertificateKit, tls: str) -> None:
    """Login and message in each TLS mode; the record tells how it was."""
    context = None if tls == "none" else certificates.server_context()
    trusting = certificates.client_context()
    with SmtpServer(
        tls=tls,  # type: ignore[arg-type]
        ssl_context=context,
        users={"user": "secret"},
        require_auth=True,
        allow_cleartext_auth=tls == "none",
    ) as server:
        client = (
            smtplib.SMTP_SSL("localhost", server.port, context=trusting, timeout=30)
            if tls == "implicit"
            else smtplib.SMTP("localhost", server.port, timeout=30)
        )
        with client:
            if tls == "starttls":
                client.starttls(context=trusting)
            client.login("user", "secret")
            client.sendmail("a@x.test", ["b@x.test"], MESSAGE)

    message, connection = server.messages[0], server.connections[0]
    assert (message.data, message.username) == (MESSAGE.encode(), "user")
    assert [attempt.has_succeeded for attempt in connection.auth_attempts] == [True]
    assert bool(connection.tls_version) == (tls != "none")
    assert (connection.ending, connection.violations) == ("quit", ())


def test_tls_needs_a_context() -> None:
    """The mistake is named where it is made."""
    with pytest.raises(ValueError, match="ssl_context"):
        SmtpServer(tls="starttls")


def test_an_async_program_is_a_client_like_any_other() -> None:
    """The server has a loop of its own; the test's loop stays free."""

    async def converse(port: int) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"EHLO me.test\r\n")
        await reader.readuntil(b"ENHANCEDSTATUSCODES\r\n")
        writer.write(b"QUIT\r\n")
        last = await reader.read()
        writer.close()
        await writer.wait_closed()
        return last

    with SmtpServer() as server:
        assert asyncio.run(converse(server.port)).startswith(b"221")


def test_another_process_is_a_client_like_any_other() -> None:
    """A worker, for instance."""
    program = (
        "import smtplib, sys\n"
        "with smtplib.SMTP('127.0.0.1', int(sys.argv[1])) as client:\n"
        "    client.sendmail('a@x.test', ['b@x.test'], 'body')\n"
    )
    with SmtpServer() as server:
        subprocess.run([sys.executable, "-c", program, str(server.port)], check=True)

        assert server.wait_for_messages(1)[0].data == b"body\r\n"


# Running and stopping.


def test_a_stopped_server_refuses_connections_and_keeps_its_record() -> None:
    """What was seen can be read afterwards."""
    with SmtpServer() as server:
        send(server)
    with pytest.raises(ConnectionRefusedError):
        Wire(server.port)

    assert len(server.messages) == 1


def test_a_restarted_server_has_its_port_its_rules_and_its_record() -> None:
    """Connections are numbered on; a rule that is used up stays so."""
    with SmtpServer(rules=[at("MAIL").reply("450 4.3.0 Once").times(1)]) as server:
        port = server.port
        with pytest.raises(smtplib.SMTPSenderRefused):
            send(server)
        server.restart()
        send(server)

        assert server.port == port
        assert [connection.id for connection in server.connections] == [1, 2]
        assert len(server.messages) == 1


def test_stopping_ends_open_connections() -> None:
    """A client that waits for an answer, at a rule or between commands, reads an end."""
    with SmtpServer(rules=[at("NOOP").stall(), at("RSET").hold()]) as server:
        stalled, held, idle = lead_to("NOOP", server.port), lead_to("RSET", server.port), lead_to("EHLO", server.port)
        server.wait_for(
            lambda: [connection.verbs[-1:] for connection in server.connections[:2]] == [("NOOP",), ("RSET",)]
        )
        idle.reply()
        server.stop()
        for wire in (stalled, held, idle):
            assert wire.rest() == b""
            wire.close()

    assert {connection.ending for connection in server.connections} == {"server_dropped"}
    assert (server.open_connections, server.peak_connections) == (0, 3)


def test_hold_works_again_after_a_restart() -> None:
    """Whoever waited at the gate went with the connection; the gate is still there."""
    with SmtpServer(rules=[at("NOOP").hold()]) as server:
        with lead_to("NOOP", server.port):
            server.wait_for(lambda: server.connections[-1].verbs[-1:] == ("NOOP",))
            server.restart()
        with lead_to("NOOP", server.port) as wire:
            assert wire.is_silent()
            server.release()
            assert wire.reply().startswith("250")


def test_starting_twice_is_a_mistake_stopping_twice_is_none() -> None:
    """As with files."""
    with SmtpServer() as server:
        with pytest.raises(RuntimeError, match="already"):
            server.start()
        server.stop()
        server.stop()


def test_a_port_in_use_is_an_error_of_the_start() -> None:
    """And of a port that cannot be."""
    with SmtpServer() as server, pytest.raises(OSError, match="in use"):
        SmtpServer(port=server.port).start()
    with pytest.raises(OverflowError):
        SmtpServer(port=65536).start()


def test_a_fault_in_a_predicate_does_not_pass_unseen() -> None:
    """The connection is dropped, and the end of the test hears of it."""

    def fail(moment: Moment) -> bool:
        raise LookupError(moment.phase)

    server = SmtpServer(rules=[at("NOOP").when(fail)])
    server.start()
    with lead_to("NOOP", server.port) as wire:
        assert wire.rest() == b""
    with pytest.raises(LookupError, match="NOOP"):
        server.stop()


def test_a_server_shows_no_passwords() -> None:
    """Nor anything else of its settings."""
    assert "secret" not in repr(SmtpServer(users={"user": "secret"}))


# Directing.


def test_rules_can_be_added_and_cleared_while_it_runs() -> None:
    """From one reply to the next."""
    with SmtpServer() as server, lead_to("NOOP", server.port) as wire:
        assert wire.reply().startswith("250")
        server.add_rules(at("NOOP").reply("450 4.0.0 Added"))
        assert wire.ask("NOOP") == "450 4.0.0 Added"
        server.clear_rules()
        assert wire.ask("NOOP").startswith("250")


def test_a_predicate_may_change_the_rules() -> None:
    """It runs in the server's own thread, and does not wait for itself."""
    server = SmtpServer()

    def fall_ill(moment: Moment) -> bool:
        server.add_rules(at("NOOP").reply("451 4.0.0 Ill"))
        return False

    with server:
        server.add_rules(at("RSET").when(fall_ill))
        with lead_to("RSET", server.port) as wire:
            assert wire.reply().startswith("250")
            assert wire.ask("NOOP") == "451 4.0.0 Ill"


def test_clearing_rules_lets_go_what_they_hold() -> None:
    """Nobody waits for ever at a rule that is gone."""
    with SmtpServer(rules=[at("NOOP").hold()]) as server, lead_to("NOOP", server.port) as wire:
        assert wire.is_silent()
        server.clear_rules()
        assert wire.reply().startswith("250")


def test_open_connections_can_be_dropped() -> None:
    """Idle ones, as servers do, with a word or without; new ones are welcome."""
    with SmtpServer() as server:
        with lead_to("NOOP", server.port) as first, lead_to("NOOP", server.port) as second:
            first.reply()
            second.reply()
            server.drop_connections("421 4.4.2 Idle")
            assert server.open_connections == 0
            assert first.rest() == second.rest() == b"421 4.4.2 Idle\r\n"
        send(server)

        assert [connection.ending for connection in server.connections] == ["server_dropped", "server_dropped", "quit"]


def test_open_tls_connections_can_be_dropped(certificates: CertificateKit) -> None:
    """The last words are readable behind TLS, too."""
    with (
        SmtpServer(tls="implicit", ssl_context=certificates.server_context()) as server,
        Wire(server.port, context=certificates.client_context()) as wire,
    ):
        wire.reply()
        server.drop_connections("421 4.4.2 Idle")
        assert wire.reply() == "421 4.4.2 Idle"
        with pytest.raises(ssl.SSLError, match="UNEXPECTED_EOF"):
            wire.rest()


@pytest.mark.parametrize("rounds", range(6))
def test_a_client_that_comes_while_the_server_stops_is_let_go(rounds: int) -> None:
    """However far the loop has come with it, nothing is left open: a forgotten socket would complain here."""
    clients: list[socket.socket] = []

    def stop_after(rounds: int) -> None:
        assert server._loop is not None
        assert server._stopping is not None
        if rounds:
            server._loop.call_soon(stop_after, rounds - 1)
        else:
            server._stopping.set()

    def arrive() -> None:
        clients.append(socket.create_connection((server.host, server.port)))
        stop_after(rounds)

    server = SmtpServer()
    server.start()
    thread, server._thread = server._thread, None
    assert server._loop is not None
    assert thread is not None
    server._loop.call_soon_threadsafe(arrive)
    thread.join()
    clients[0].close()
    gc.collect()


# Holding and counting.


def test_held_transactions_show_how_many_run_at_once() -> None:
    """Twenty clients, all held before their last reply: the peak is twenty, and all get through after the release."""
    with SmtpServer(rules=[at("END_OF_DATA").hold()]) as server, ThreadPoolExecutor(20) as pool:
        sending = [pool.submit(send, server) for _ in range(20)]
        server.wait_for(lambda: server.open_transactions == 20)
        assert server.messages == ()
        server.release()
        for client in sending:
            client.result(30)

        assert len(server.messages) == 20
        assert (server.peak_transactions, server.peak_connections) == (20, 20)
        assert (server.open_transactions, server.open_connections) == (0, 0)


def test_clients_one_after_the_other_never_make_a_peak() -> None:
    """A connection counts as closed before its client can open the next."""
    with SmtpServer() as server:
        for _ in range(50):
            send(server)

        assert (server.peak_connections, server.peak_transactions) == (1, 1)


def test_many_clients_and_readers_at_once() -> None:
    """Nothing is lost or mixed up while others read the record and change the rules."""
    with SmtpServer() as server, ThreadPoolExecutor(24) as pool:
        sending = [pool.submit(send, server, count=10, sender=f"s{number}@x.test") for number in range(20)]
        reading = [pool.submit(server.wait_for_messages, 200, 60) for _ in range(3)]
        while not all(client.done() for client in sending):
            server.add_rules(at("NOOP").reply("250 Fine"))
            for connection in server.connections:
                assert len(connection.commands) <= 1 + 4 * 10 + 1
            server.clear_rules()
        for task in sending + reading:
            task.result(60)

        assert len(server.messages) == 200
        for connection in server.connections:
            of_one = [message for message in server.messages if message.connection_id == connection.id]
            assert len(of_one) == 10
            assert len({message.sender for message in of_one}) == 1
            assert connection.ending == "quit"


def test_waiting_for_messages_returns_them() -> None:
    """As many as there are, at least as many as asked for; fewer are a timeout."""
    with SmtpServer() as server:
        send(server, count=2)
        assert len(server.wait_for_messages(1)) == 2
        with pytest.raises(TimeoutError, match="accepted 2 messages"):
            server.wait_for_messages(3, timeout_s=0.01)


def test_a_reset_client_is_a_closed_connection() -> None:
    """A client that dies without a FIN leaves no open connection behind."""
    with SmtpServer() as server:
        with lead_to("MAIL", server.port) as wire:
            wire.reply()
            wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        server.wait_for(lambda: server.open_connections == 0)

        assert server.connections[0].ending == "client_closed"
        assert server.open_transactions == 0
