"""TLS for SMTP: the one client context, and what a failed handshake means.

Owns the policy (TLS 1.2 at least, certificate and host name checked, the system's authorities or SSL_CERT_FILE) and the
translation of OpenSSL's words into reasons under code 201. There is no switch that turns the checks off.
"""

from __future__ import annotations

import os
import ssl
from functools import lru_cache
from typing import NamedTuple

from postroom_contract.error_codes import ErrorCode
from postroom_contract.errors import PostroomError
from postroom_worker.smtp.place import Place

# OpenSSL's X509_V_ERR numbers.
_CERTIFICATE_REASONS = {
    9: "certificate_not_yet_valid",
    10: "certificate_expired",
    18: "certificate_untrusted",  # self-signed
    19: "certificate_untrusted",  # self-signed in the chain
    20: "certificate_untrusted",  # no issuer found
    21: "certificate_untrusted",  # the first cannot be verified
    27: "certificate_untrusted",  # not trusted for this purpose
    62: "hostname_mismatch",
    64: "hostname_mismatch",  # the same for an IP address
}

# What OpenSSL says where the other side answered a handshake in clear text.
_NOT_TLS = {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG"}

# No common version or cipher; trying again will not find one.
_MISMATCH = {
    "UNSUPPORTED_PROTOCOL",
    "NO_PROTOCOLS_AVAILABLE",
    "TLSV1_ALERT_PROTOCOL_VERSION",
    "SSLV3_ALERT_HANDSHAKE_FAILURE",
    "TLSV1_ALERT_INSUFFICIENT_SECURITY",
    "NO_SHARED_CIPHER",
    "DH_KEY_TOO_SMALL",
    "EE_KEY_TOO_SMALL",
    "CA_KEY_TOO_SMALL",
    "CA_MD_TOO_WEAK",
}


def client_context() -> ssl.SSLContext:
    """Return the context of this process: making one takes 35 ms of CPU, most of it for reading authorities."""
    return _context_for(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))


def server_name(host: str) -> str:
    """Return what the certificate has to be made out to; the dot that roots a name is no part of it."""
    return host.rstrip(".")


class HandshakeTrouble(NamedTuple):
    """Why there is no TLS."""

    reason: str
    retryable: bool
    verify_code: int | None = None

    def as_error(self, place: Place, phase: str) -> PostroomError:
        """Return the error, 201 in all cases."""
        code, more = ErrorCode.SSL_UNSUPPORTED, {"verify_code": self.verify_code} if self.verify_code else {}
        return place.failure(code, phase=phase, reason=self.reason, retryable=self.retryable, more=more)


def explain(error: BaseException, *, is_implicit: bool) -> HandshakeTrouble:
    """Tell what a failed handshake means.

    Args:
        error: what the TLS layer raised.
        is_implicit: TLS was to begin with the first byte; clear text in answer then means that this port has no such TLS.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        code = error.verify_code
        return HandshakeTrouble(
            _CERTIFICATE_REASONS.get(code, "certificate_invalid"), retryable=False, verify_code=code
        )
    words = (getattr(error, "reason", None) or "") if isinstance(error, ssl.SSLError) else ""
    if words in _NOT_TLS:
        return HandshakeTrouble("tls_not_offered" if is_implicit else "handshake_failed", retryable=False)
    if words in _MISMATCH:
        return HandshakeTrouble("protocol_mismatch", retryable=False)
    # asyncio reports its own handshake timer as ConnectionAbortedError.
    if isinstance(error, TimeoutError | ConnectionAbortedError):
        return HandshakeTrouble("timed_out", retryable=True)
    # A server that broke off: an alert, an end of file, a reset. It may be about to restart.
    return HandshakeTrouble("handshake_failed", retryable=True)


@lru_cache(maxsize=4)
def _context_for(_file: str | None, _folder: str | None) -> ssl.SSLContext:
    # OpenSSL reads both variables itself; as arguments they make a changed environment a new context.
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
