"""The one TLS context, and the reasons under 201. Handshakes with real servers are in test_opening."""

import ssl

import pytest

from postroom.testing import CertificateKit
from postroom_contract.error_codes import ErrorCode
from postroom_worker.smtp.place import Place
from postroom_worker.smtp.tls import HandshakeTrouble, client_context, explain, server_name


def ssl_error(reason: str) -> ssl.SSLError:
    """Return an error as OpenSSL words it."""
    error = ssl.SSLError(1, f"[SSL: {reason}] it failed")
    error.reason = reason
    return error


def verify_error(code: int) -> ssl.SSLCertVerificationError:
    """Return a refused certificate."""
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code = code
    return error


def test_the_policy_has_no_holes() -> None:
    """Certificate and host name are checked, and nothing older than TLS 1.2 is spoken."""
    context = client_context()

    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2


def test_one_context_serves_the_process(certificates: CertificateKit, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another SSL_CERT_FILE makes another one."""
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    system = client_context()
    assert client_context() is system

    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.ca_file))
    ours = client_context()
    assert ours is not system
    assert [name["subject"] for name in ours.get_ca_certs()] != [name["subject"] for name in system.get_ca_certs()]
    assert len(ours.get_ca_certs()) >= 1


@pytest.mark.parametrize(
    ("error", "is_implicit", "trouble"),
    [
        (verify_error(9), True, ("certificate_not_yet_valid", False, 9)),
        (verify_error(10), True, ("certificate_expired", False, 10)),
        (verify_error(18), False, ("certificate_untrusted", False, 18)),
        (verify_error(20), False, ("certificate_untrusted", False, 20)),
        (verify_error(62), False, ("hostname_mismatch", False, 62)),
        (verify_error(64), False, ("hostname_mismatch", False, 64)),
        (verify_error(23), False, ("certificate_invalid", False, 23)),
        (ssl_error("WRONG_VERSION_NUMBER"), True, ("tls_not_offered", False, None)),
        (ssl_error("RECORD_LAYER_FAILURE"), True, ("tls_not_offered", False, None)),
        (ssl_error("WRONG_VERSION_NUMBER"), False, ("handshake_failed", False, None)),
        (ssl_error("TLSV1_ALERT_PROTOCOL_VERSION"), True, ("protocol_mismatch", False, None)),
        (ssl_error("SSLV3_ALERT_HANDSHAKE_FAILURE"), False, ("protocol_mismatch", False, None)),
        (ssl_error("DH_KEY_TOO_SMALL"), False, ("protocol_mismatch", False, None)),
        (ssl_error("TLSV1_ALERT_INTERNAL_ERROR"), False, ("handshake_failed", True, None)),
        (ssl.SSLEOFError(8, "EOF occurred"), True, ("handshake_failed", True, None)),
        (ConnectionResetError(104, "reset"), True, ("handshake_failed", True, None)),
        (ConnectionAbortedError("SSL handshake is taking longer"), False, ("timed_out", True, None)),
        (TimeoutError(), True, ("timed_out", True, None)),
    ],
    ids=str,
)
def test_each_failure_has_its_reason(
    error: OSError,
    is_implicit: bool,  # noqa: FBT001
    trouble: tuple[str, bool, int | None],
) -> None:
    """What will not change by trying again is told from what may."""
    assert explain(error, is_implicit=is_implicit) == HandshakeTrouble(*trouble)


def test_trouble_is_201() -> None:
    """All of it, with OpenSSL's number where there is one."""
    error = explain(verify_error(10), is_implicit=True).as_error(Place("mail.example", 465), "tls")

    assert error.code == ErrorCode.SSL_UNSUPPORTED
    assert (error.reason, error.facts["phase"], error.facts["verify_code"]) == ("certificate_expired", "tls", 10)


def test_the_dot_that_roots_a_name_is_in_no_certificate() -> None:
    """`mail.example.` and `mail.example` are one host."""
    assert server_name("mail.example.") == "mail.example"
