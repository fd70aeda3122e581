"""The server's part of TLS over a pair of buffers: octets of the wire in, clear text out, and the other way round.

asyncio has its own, which closes before the alert that says what was wrong has left, and which decides itself how a
connection ends. A test server must do both to the letter. No I/O here: `smtp_link` moves the octets.
"""

import contextlib
import ssl

# As much as one TLS record holds; a larger read gains nothing.
READ_OCTETS = 16 * 1024


class TlsLayer:
    """TLS on one connection; whatever was called, `outgoing` has to be sent afterwards."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)

    @property
    def version(self) -> str:
        """The protocol version, once the handshake is done."""
        return str(self._tls.version())

    def take_outgoing(self) -> bytes:
        """Return what has to go to the client now."""
        return self._outgoing.read()

    def shake_hands(self, octets: bytes) -> bool:
        """Go on with the handshake, with what the client sent; return True when it is done.

        Raises:
            ssl.SSLError: it failed; the outgoing octets hold the alert.
        """
        self._incoming.write(octets)
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def encrypt(self, octets: bytes) -> bytes:
        """Return clear text as it goes to the client."""
        self._tls.write(octets)
        return self.take_outgoing()

    def decrypt(self, octets: bytes) -> bytes:
        """Return the clear text of what the client sent, as far as it is complete.

        The client's close_notify has no result of its own: the end of the TCP connection follows and says the same.

        Raises:
            ssl.SSLError: the client has sent an alert, or something that is not TLS.
        """
        self._incoming.write(octets)
        text = bytearray()
        # Empty is the client's close_notify; SSLZeroReturnError says the same once ours has been sent.
        with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLZeroReturnError):
            while chunk := self._tls.read(READ_OCTETS):
                text += chunk
        return bytes(text)

    def close(self) -> bytes:
        """Return the close_notify that ends our side."""
        with contextlib.suppress(ssl.SSLError):  # the client's own is not waited for
            self._tls.unwrap()
        return self.take_outgoing()
