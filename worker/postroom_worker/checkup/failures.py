"""Which finding an error of the SMTP sessions is.

Owns one table from the error's number and reason to the word of the doctor. Errors are made by `postroom_worker.smtp`; what
the words say is the contract's. The server's own text is left out: it may quote an address.
"""

from __future__ import annotations

from postroom_contract.error_codes import ErrorCode
from postroom_contract.errors import PostroomError
from postroom_contract.finding import Fact, Finding
from postroom_contract.finding_codes import FindingCode

# By number and reason; None stands for every other reason of that number.
_FINDINGS: dict[tuple[ErrorCode, str | None], FindingCode] = {
    (ErrorCode.INVALID_HOST, None): FindingCode.HOST_UNKNOWN,
    (ErrorCode.INVALID_HOST, "dns_temporary"): FindingCode.HOST_UNRESOLVED,
    (ErrorCode.INVALID_PORT, None): FindingCode.PORT_CLOSED,
    (ErrorCode.INVALID_PORT, "timed_out"): FindingCode.PORT_SILENT,
    (ErrorCode.INVALID_PORT, "unreachable"): FindingCode.PORT_UNREACHABLE,
    (ErrorCode.INVALID_PORT, "not_smtp"): FindingCode.NOT_SMTP,
    (ErrorCode.SSL_REQUIRED, None): FindingCode.TLS_FROM_FIRST_BYTE,
    (ErrorCode.SSL_UNSUPPORTED, None): FindingCode.TLS_FAILED,
    (ErrorCode.SSL_UNSUPPORTED, "timed_out"): FindingCode.PORT_SILENT,
    (ErrorCode.SSL_UNSUPPORTED, "tls_not_offered"): FindingCode.TLS_NOT_OFFERED,
    (ErrorCode.SSL_UNSUPPORTED, "starttls_not_offered"): FindingCode.STARTTLS_NOT_OFFERED,
    (ErrorCode.SSL_UNSUPPORTED, "starttls_refused"): FindingCode.STARTTLS_REFUSED,
    (ErrorCode.SSL_UNSUPPORTED, "starttls_injection"): FindingCode.STARTTLS_INJECTION,
    (ErrorCode.SSL_UNSUPPORTED, "certificate_expired"): FindingCode.CERTIFICATE_EXPIRED,
    (ErrorCode.SSL_UNSUPPORTED, "certificate_not_yet_valid"): FindingCode.CERTIFICATE_NOT_YET_VALID,
    (ErrorCode.SSL_UNSUPPORTED, "certificate_untrusted"): FindingCode.CERTIFICATE_UNTRUSTED,
    (ErrorCode.SSL_UNSUPPORTED, "certificate_invalid"): FindingCode.CERTIFICATE_INVALID,
    (ErrorCode.SSL_UNSUPPORTED, "hostname_mismatch"): FindingCode.CERTIFICATE_OF_ANOTHER_HOST,
    (ErrorCode.INVALID_USER_CREDENTIALS, None): FindingCode.LOGIN_REFUSED,
    (ErrorCode.INVALID_USER_CREDENTIALS, "auth_not_offered"): FindingCode.LOGIN_NOT_OFFERED,
    (ErrorCode.INVALID_USER_CREDENTIALS, "auth_mechanism"): FindingCode.LOGIN_MECHANISM,
    (ErrorCode.INVALID_USER_CREDENTIALS, "auth_temporary"): FindingCode.LOGIN_NOT_NOW,
    (ErrorCode.INVALID_USER_CREDENTIALS, "password_unreadable"): FindingCode.PASSWORD_UNREADABLE,
    (ErrorCode.COMMAND_REFUSED, None): FindingCode.CONNECTION_REFUSED,
    (ErrorCode.CONNECTION_LOST, None): FindingCode.CONNECTION_LOST,
    (ErrorCode.LOCAL_RESOURCE, None): FindingCode.NO_SOCKET,
}


def finding_of(error: PostroomError, session: str) -> Finding:
    """The finding for a session that could not be opened.

    Raises:
        KeyError: no opening of a session ends like this.
    """
    facts = error.facts
    reason = str(facts.get("reason"))
    code = _FINDINGS.get((error.code, reason)) or _FINDINGS[error.code, None]
    told: dict[str, Fact] = {"reply": reply_in_numbers(facts.get("smtp_code"), facts.get("enhanced_code"))}
    told |= {name: value for name in ("port", "phase", "reason") if isinstance(value := facts.get(name), int | str)}
    return Finding(code, session, told)


def reply_in_numbers(code: object, enhanced: object) -> str:
    """A server's reply without its text."""
    return " ".join(str(part) for part in (code, enhanced) if part) or "no reply"
