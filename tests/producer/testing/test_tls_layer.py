"""TLS over buffers, with the standard library's client on the other side."""

import contextlib
import ssl

import pytest

from postroom.testing import CertificateKit
from postroom.testing.tls_layer import TlsLayer


class Client:
    """The client's half, over buffers too."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")

    def shake_hands(self, octets: bytes) -> bytes:
        """Take what the server sent, return what goes to it."""
        self.incoming.write(octets)
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.do_handshake()
        return self.outgoing.read()


def connect(server: TlsLayer, client: Client) -> None:
    """Carry the handshake to its end."""
    done = False
    to_client = b""
    while not done:
        done = server.shake_hands(client.shake_hands(to_client))
        to_client = server.take_outgoing()
    client.incoming.write(to_client)


@pytest.fixture
def pair(certificates: CertificateKit) -> tuple[TlsLayer, Client]:
    """Server and client after the handshake."""
    server, client = TlsLayer(certificates.server_context()), Client(certificates.client_context())
    connect(server, client)
    return server, client


def test_clear_text_comes_out_on_the_other_side(pair: tuple[TlsLayer, Client]) -> None:
    """Both directions, and a record that arrives in two parts."""
    server, client = pair
    client.tls.write(b"EHLO\r\n")
    sent = client.outgoing.read()
    client.incoming.write(server.encrypt(b"250 ok\r\n"))

    assert server.decrypt(sent[:7]) == b""
    assert server.decrypt(sent[7:]) == b"EHLO\r\n"
    assert client.tls.read() == b"250 ok\r\n"
    assert server.version == "TLSv1.3"


def test_more_than_one_record_is_read_at_once(pair: tuple[TlsLayer, Client]) -> None:
    """Nothing stays behind in the buffer until more arrives."""
    server, client = pair
    client.tls.write(b"x" * 40_000)

    assert server.decrypt(client.outgoing.read()) == b"x" * 40_000


def test_a_handshake_that_fails_leaves_an_alert_to_send(certificates: CertificateKit) -> None:
    """A client that speaks no common version is told so."""
    old = certificates.client_context()
    old.minimum_version = ssl.TLSVersion.TLSv1_3
    modern_only = certificates.server_context()
    modern_only.maximum_version = ssl.TLSVersion.TLSv1_2
    server, client = TlsLayer(modern_only), Client(old)
    with pytest.raises(ssl.SSLError, match="UNSUPPORTED_PROTOCOL"):
        server.shake_hands(client.shake_hands(b""))

    with pytest.raises(ssl.SSLError, match="ALERT_PROTOCOL_VERSION"):
        client.shake_hands(server.take_outgoing())


def test_a_good_end_is_seen_on_both_sides(pair: tuple[TlsLayer, Client]) -> None:
    """close_notify out, close_notify in."""
    server, client = pair
    client.incoming.write(server.close())

    assert client.tls.read() == b""
    client.tls.unwrap()
    assert server.decrypt(client.outgoing.read()) == b""


def test_the_client_may_end_first(pair: tuple[TlsLayer, Client]) -> None:
    """Its close_notify brings no clear text, and the server can still answer with its own."""
    server, client = pair
    with pytest.raises(ssl.SSLWantReadError):
        client.tls.unwrap()

    assert server.decrypt(client.outgoing.read()) == b""
    client.incoming.write(server.close())
    client.tls.unwrap()


def test_the_last_words_before_a_good_end_are_not_lost(pair: tuple[TlsLayer, Client]) -> None:
    """Clear text and close_notify in one segment: the text comes out."""
    server, client = pair
    client.tls.write(b"QUIT\r\n")
    with pytest.raises(ssl.SSLWantReadError):
        client.tls.unwrap()

    assert server.decrypt(client.outgoing.read()) == b"QUIT\r\n"


def test_what_is_not_tls_is_an_error(pair: tuple[TlsLayer, Client]) -> None:
    """Clear text behind the handshake does not pass."""
    server, _ = pair
    with pytest.raises(ssl.SSLError):
        server.decrypt(b"MAIL FROM:<a@x.test>\r\n")
