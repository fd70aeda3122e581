"""Certificates: the good one is taken, each bad one is refused for its own reason, on a real connection."""

import gc
import ssl
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from postroom.testing import CertificateKit, SmtpServer
from tests.producer.testing.wire import Wire


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_the_good_certificate_is_taken(certificates: CertificateKit, host: str) -> None:
    """For the name and for the address."""
    with SmtpServer(tls="implicit", ssl_context=certificates.server_context()) as server:
        with Wire(server.port) as wire:
            wire.socket = certificates.client_context().wrap_socket(wire.socket, server_hostname=host)
            assert wire.reply().startswith("220 ")

        assert server.connections[0].tls_version == "TLSv1.3"


@pytest.mark.parametrize(
    ("make_context", "verify_code"),
    [
        (CertificateKit.wrong_host_context, 62),
        (CertificateKit.expired_context, 10),
        (CertificateKit.not_yet_valid_context, 9),
        (CertificateKit.unknown_ca_context, 20),
        (CertificateKit.self_signed_context, 18),
    ],
)
def test_a_bad_certificate_is_refused_for_its_own_reason(
    certificates: CertificateKit, make_context: Callable[[CertificateKit], ssl.SSLContext], verify_code: int
) -> None:
    """OpenSSL's verify code tells them apart, and the server's record says that TLS failed."""
    with SmtpServer(tls="implicit", ssl_context=make_context(certificates)) as server:
        with pytest.raises(ssl.SSLCertVerificationError) as caught:
            Wire(server.port, context=certificates.client_context())
        server.wait_for(lambda: server.open_connections == 0)

        assert caught.value.verify_code == verify_code
        assert server.connections[0].ending == "tls_failed"


def test_old_tls_is_refused_by_a_present_day_client(certificates: CertificateKit) -> None:
    """The client is told that there is no common version."""
    with SmtpServer(tls="implicit", ssl_context=certificates.tls_1_1_context()) as server:
        with pytest.raises(ssl.SSLError) as caught:
            Wire(server.port, context=certificates.client_context())
        server.wait_for(lambda: server.open_connections == 0)

        assert caught.value.reason == "TLSV1_ALERT_PROTOCOL_VERSION"
        assert server.connections[0].tls_failure == "UNSUPPORTED_PROTOCOL"


@pytest.mark.filterwarnings("ignore:.*TLSv1_1 is deprecated:DeprecationWarning")
def test_old_tls_is_what_it_says(certificates: CertificateKit) -> None:
    """A client that still speaks TLS 1.1 gets TLS 1.1."""
    old = certificates.client_context()
    old.minimum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("DEFAULT:@SECLEVEL=0")
    with SmtpServer(tls="implicit", ssl_context=certificates.tls_1_1_context()) as server:
        with Wire(server.port, context=old) as wire:
            wire.reply()

        assert server.connections[0].tls_version == "TLSv1.1"


def test_the_ca_file_serves_as_ssl_cert_file(certificates: CertificateKit) -> None:
    """A program that knows nothing of the kit trusts it through the environment."""
    program = """
import smtplib, ssl, sys
smtplib.SMTP_SSL("localhost", int(sys.argv[1]), context=ssl.create_default_context()).quit()
"""
    with SmtpServer(tls="implicit", ssl_context=certificates.server_context()) as server:
        command = [sys.executable, "-c", program, str(server.port)]
        subprocess.run(command, check=True, env={"SSL_CERT_FILE": str(certificates.ca_file)})

        assert server.connections[0].ending == "quit"


def test_a_kit_writes_into_the_folder_it_is_given(tmp_path: Path) -> None:
    """For a test that hands the path on."""
    assert CertificateKit(tmp_path).ca_file == tmp_path / "ca.pem"
    assert (tmp_path / "ca.pem").read_text().startswith("-----BEGIN CERTIFICATE-----")


def test_a_kit_removes_its_own_folder() -> None:
    """Nothing stays behind in the temporary directory."""
    kit = CertificateKit()
    folder = kit.ca_file.parent
    assert folder.exists()
    del kit
    gc.collect()

    assert not folder.exists()


def test_two_kits_do_not_trust_each_other(certificates: CertificateKit) -> None:
    """Each kit is an authority of its own."""
    with (
        SmtpServer(tls="implicit", ssl_context=certificates.server_context()) as server,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        Wire(server.port, context=CertificateKit().client_context())
