"""Certificates for tests: a certificate authority, a good server certificate, and each bad kind that a client must refuse.

Made anew for each kit, valid for localhost and 127.0.0.1, never to be trusted outside a test. Needs the package trustme,
which comes with the `dev` extra and is imported only when a kit is made.
"""

import shutil
import ssl
import tempfile
import warnings
import weakref
from datetime import UTC, datetime, timedelta
from pathlib import Path

HOSTS = ("localhost", "127.0.0.1")


class CertificateKit:
    """One certificate authority and the servers it vouches for, or does not."""

    def __init__(self, folder: Path | None = None) -> None:
        """Make the authority.

        Args:
            folder: where `ca_file` is written; without it, a temporary one that goes with the kit.
        """
        import trustme  # noqa: PLC0415 -- a dev extra: what else is here must be importable without it

        if folder is None:
            folder = Path(tempfile.mkdtemp(prefix="certificates-"))
            weakref.finalize(self, shutil.rmtree, folder)
        self._ca = trustme.CA()
        self._stranger = trustme.CA()
        self.ca_file = folder / "ca.pem"
        """The authority's certificate, for SSL_CERT_FILE or `ssl.create_default_context(cafile=...)`."""
        self._ca.cert_pem.write_to_path(str(self.ca_file))

    def client_context(self) -> ssl.SSLContext:
        """Return what a client uses that trusts this authority and no other."""
        context = ssl.create_default_context(cafile=str(self.ca_file))
        # Python's own default, which Debian's build leaves out.
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context

    def server_context(self) -> ssl.SSLContext:
        """Return the good one."""
        return self._context_for(*HOSTS)

    def wrong_host_context(self) -> ssl.SSLContext:
        """Return one with a certificate for another host (verify code 62, for an address 64)."""
        return self._context_for("mail.example.org")

    def expired_context(self) -> ssl.SSLContext:
        """Return one whose certificate was valid until yesterday (verify code 10)."""
        yesterday = datetime.now(UTC) - timedelta(days=1)
        return self._context_for(*HOSTS, not_before=yesterday - timedelta(days=30), not_after=yesterday)

    def not_yet_valid_context(self) -> ssl.SSLContext:
        """Return one whose certificate is valid from tomorrow (verify code 9)."""
        tomorrow = datetime.now(UTC) + timedelta(days=1)
        return self._context_for(*HOSTS, not_before=tomorrow, not_after=tomorrow + timedelta(days=30))

    def unknown_ca_context(self) -> ssl.SSLContext:
        """Return one whose certificate another authority has signed (verify code 20)."""
        context = _server_context()
        self._stranger.issue_cert(*HOSTS).configure_cert(context)
        return context

    def self_signed_context(self) -> ssl.SSLContext:
        """Return one whose certificate vouches for itself (verify code 18)."""
        import trustme  # noqa: PLC0415 -- as above

        context = _server_context()
        both = self._stranger.private_key_pem.bytes() + self._stranger.cert_pem.bytes()
        with trustme.Blob(both).tempfile() as pem:
            context.load_cert_chain(pem)
        return context

    def tls_1_1_context(self) -> ssl.SSLContext:
        """Return a good one that speaks TLS 1.1 and nothing newer; some builds of OpenSSL cannot."""
        context = self.server_context()
        # OpenSSL 3 permits the signatures of TLS 1.1 at security level 0 only.
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # deprecated is just what it is meant to be
            context.minimum_version = ssl.TLSVersion.TLSv1_1
            context.maximum_version = ssl.TLSVersion.TLSv1_1
        return context

    def _context_for(
        self, *hosts: str, not_before: datetime | None = None, not_after: datetime | None = None
    ) -> ssl.SSLContext:
        context = _server_context()
        self._ca.issue_cert(*hosts, not_before=not_before, not_after=not_after).configure_cert(context)
        return context


def _server_context() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
