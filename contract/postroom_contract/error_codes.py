"""The numbers of all errors, and the sentence each one says.

Owns what the documentation's error table shows: number, category, sentence, and what to do about it. Exceptions live
in `errors`, and decisions in the worker's verdict table. Codes 100 to 401 are the block's and never change; ours start
at 1000.
"""

from __future__ import annotations

import re
from enum import IntEnum, StrEnum
from typing import Any


class Category(StrEnum):
    """The block's categories of session errors."""

    SOCKET = "Socket"
    SSL = "SSL"
    USER_CREDENTIALS = "UserCredentials"
    OAUTH_CREDENTIALS = "OAuthCredentials"


class ErrorCode(IntEnum):
    """What failed."""

    INVALID_PORT = 100
    INVALID_HOST = 101
    SSL_REQUIRED = 200
    SSL_UNSUPPORTED = 201
    INVALID_USER_CREDENTIALS = 300
    INVALID_CERTIFICATE = 400
    INVALID_GMAIL_CLIENT_CREDENTIALS = 401

    INVALID_ARGUMENT = 1000
    NULL_ARGUMENT = 1001
    NULL_PROPERTY = 1002
    EMPTY_PROPERTY = 1003
    OUT_OF_RANGE = 1004
    UNENCRYPTED_TEXT = 1005
    KEY_REUSED = 1006

    FILE_NOT_FOUND = 1100
    ACCESS_DENIED = 1101
    PATH_TOO_LONG = 1102
    PATH_INVALID = 1103
    FILE_UNREADABLE = 1104

    CONNECTION_LOST = 1200
    LOCAL_RESOURCE = 1201

    INVALID_ADDRESS = 1300
    COMMAND_REFUSED = 1301
    MESSAGE_TOO_LARGE = 1302
    UNKNOWN_OUTCOME = 1303
    CANCELLED = 1304
    EXPIRED = 1305

    BROKER_UNAVAILABLE = 1400
    SEAL_BROKEN = 1401
    BAD_SETTINGS = 1402
    INTERNAL = 1500


CATEGORIES = {
    ErrorCode.INVALID_PORT: Category.SOCKET,
    ErrorCode.INVALID_HOST: Category.SOCKET,
    ErrorCode.SSL_REQUIRED: Category.SSL,
    ErrorCode.SSL_UNSUPPORTED: Category.SSL,
    ErrorCode.INVALID_USER_CREDENTIALS: Category.USER_CREDENTIALS,
    ErrorCode.INVALID_CERTIFICATE: Category.OAUTH_CREDENTIALS,
    ErrorCode.INVALID_GMAIL_CLIENT_CREDENTIALS: Category.OAUTH_CREDENTIALS,
}

# `{host}` and the like are filled from the error's facts. A part in brackets is left out where its fact is sealed or
# unknown; outside brackets the fact then reads as its plain word.
SENTENCES = {
    ErrorCode.INVALID_PORT: "Nothing answered[ at {host} port {port}]: the port does not exist or timed out.",
    ErrorCode.INVALID_HOST: "The host[ {host}] does not exist.",
    ErrorCode.SSL_REQUIRED: "The port[ {port}] wants TLS from the first byte; try UseSsl true.",
    ErrorCode.SSL_UNSUPPORTED: "TLS could not be established[ on port {port}].",
    ErrorCode.INVALID_USER_CREDENTIALS: "Logging in with this user name and password failed[: {reply}].",
    ErrorCode.INVALID_CERTIFICATE: "The OAuth certificate[ at {path}], its password or its content is bad.",
    ErrorCode.INVALID_GMAIL_CLIENT_CREDENTIALS: "The OAuth address[ {address}] or its client id is bad.",
    ErrorCode.INVALID_ARGUMENT: "{property} is not valid.",
    ErrorCode.NULL_ARGUMENT: "{property} is null; give a path.",
    ErrorCode.NULL_PROPERTY: "{property} is required and is null.",
    ErrorCode.EMPTY_PROPERTY: "{property} is required and is empty.",
    ErrorCode.OUT_OF_RANGE: "{property} is out of range.",
    ErrorCode.UNENCRYPTED_TEXT: "{property} is not encrypted.",
    ErrorCode.KEY_REUSED: "This idempotency key or receipt id belongs to another message.",
    ErrorCode.FILE_NOT_FOUND: "The attachment[ {path}] does not exist.",
    ErrorCode.ACCESS_DENIED: "The attachment[ {path}] may not be read.",
    ErrorCode.PATH_TOO_LONG: "The path[ {path}] is longer than the system allows.",
    ErrorCode.PATH_INVALID: "The path[ {path}] is not one the file system allows.",
    ErrorCode.FILE_UNREADABLE: "Reading the attachment[ {path}] failed.",
    ErrorCode.CONNECTION_LOST: "The connection[ to {host} port {port}] was lost; nothing was delivered by this attempt.",
    ErrorCode.LOCAL_RESOURCE: "This machine has no socket or file handle to spare; running again usually solves it.",
    ErrorCode.INVALID_ADDRESS: "{property} is not a mail address as RFC 5321 has it (user@example.com).",
    ErrorCode.COMMAND_REFUSED: "The server refused {command}[: {reply}].",
    ErrorCode.MESSAGE_TOO_LARGE: "The message is larger than the limit[ of {limit} bytes].",
    ErrorCode.UNKNOWN_OUTCOME: "The server took the whole message and never answered; it may have been delivered.",
    ErrorCode.CANCELLED: "The sender called the message back before it was sent.",
    ErrorCode.EXPIRED: "The message was not sent before its time was over, and never will be.",
    ErrorCode.BROKER_UNAVAILABLE: "Redis[ at {url}] is not available.",
    ErrorCode.SEAL_BROKEN: "A sealed text cannot be opened.",
    ErrorCode.BAD_SETTINGS: "The settings are wrong.",
    ErrorCode.INTERNAL: "The delivery ended in a way that Postroom did not foresee.",
}

PLAIN_WORDS = {
    "property": "A value",
    "command": "a command",
}

# What a reason adds to the sentence: what is wrong exactly, and what to do about it.
HINTS = {
    "refused": "The connection was refused.",
    "timed_out": "No answer came in time.",
    "unreachable": "The network has no way to it.",
    "not_smtp": "What answers there does not speak SMTP.",
    "dns_temporary": "The name server did not answer; this may pass.",
    "implicit_tls": "The server waits for TLS from the first byte.",
    "tls_not_offered": "The server does not speak TLS from the first byte; try UseSsl false.",
    "starttls_not_offered": "The server offers no STARTTLS and credentials never travel in the clear.",
    "starttls_refused": "The server offers STARTTLS but refused it.",
    "starttls_injection": "The server sent more than its answer before TLS began, which is how an attack looks.",
    "certificate_expired": "The server's certificate has expired.",
    "certificate_not_yet_valid": "The server's certificate is not valid yet.",
    "certificate_untrusted": "The server's certificate is signed by nobody this machine trusts; see SSL_CERT_FILE.",
    "hostname_mismatch": "The server's certificate names another host.",
    "certificate_invalid": "The server's certificate did not verify.",
    "protocol_mismatch": "Server and client share no TLS version or cipher.",
    "handshake_failed": "The server broke off the TLS handshake.",
    "auth_not_offered": "The server offers no login by password here.",
    "auth_mechanism": "Server and client share no login mechanism.",
    "auth_temporary": "The server cannot check logins at the moment.",
    "password_unreadable": "The encrypted password cannot be opened: it is bound to another host, port, TLS mode or user"
    " name, or its key is not in POSTROOM_PASSWORD_KEYS. `postroom encrypt` makes one for this server and user.",
    "outside_roots": (
        "It lies outside POSTROOM_ATTACHMENT_ROOTS of the worker. Attachment.read(path) reads it where it is sent from."
    ),
    "no_roots": "The worker reads no paths until POSTROOM_ATTACHMENT_ROOTS names a folder; or use Attachment.read.",
    "is_folder": "It is a folder.",
    "not_regular": "It is not a regular file.",
    "is_link": "A link stands in the path, and links are not followed.",
    "permission": "The worker has no permission to read it.",
    "leading_spaces": "It begins with a space.",
    "illegal_characters": "It holds a character that is not allowed there.",
    "blank": "It is empty or only white space.",
    "nul": "It holds a NUL.",
    "control_characters": "It holds a control character.",
    "not_ascii": "It takes printable ASCII only, and no encoded words.",
    "unknown_value": "It is not one of the values allowed.",
    "unknown_property": "There is no such property.",
    "wrong_type": "It has the wrong type.",
    "header_not_allowed": "This header is set by Postroom or not allowed.",
    "conflict": "It contradicts another property.",
    "too_many": "There are too many.",
    "too_long": "It is too long.",
    "needs_smtputf8": "The server cannot take addresses with non-ASCII local parts.",
    "too_large": "Make the attachments smaller, or send a link.",
    "unknown_key": "Its key is in no ring: POSTROOM_KEYS must be the same for workers and all who send or ask.",
    "not_sealed_text": "It is not of the form that `postroom encrypt` prints.",
    "tampered": "It was changed, is bound to something else, or was sealed with another key of the same id.",
    "disconnected": "The server closed the connection.",
    "interrupted": "The worker was told to stop.",
    "revoked": "Somebody revoked its Celery task before it ran.",
    "not_ours": "Its Celery result was not written by Postroom.",
    "protocol_error": "The server answered what nobody asked.",
    "naive_time": "It needs an offset from UTC, such as 2030-03-01T09:00:00+01:00 (in Python: an aware datetime).",
    "unreadable_time": "Write it as ISO 8601 with an offset, such as 2030-03-01T09:00:00+01:00.",
    "dropped": "An operator dropped it.",
    "too_many_deliveries": "Each worker that took it was lost before it had finished.",
    "rejected": "A worker refused it, because it does not know such a task or parts of it are missing.",
    "broker_away": "Redis did not answer before the last byte was to leave, so it did not leave.",
}

# The error table of this repository; a test checks that every code has its heading there.
_HELP = "docs/errors.md"


def help_link(code: ErrorCode) -> str:
    """Where the documentation explains a code."""
    return f"{_HELP}#code-{int(code)}"


def describe(code: ErrorCode, facts: dict[str, Any]) -> str:
    """What to tell a person: the sentence for a code with the hint of its reason, or the list of several mistakes."""
    mistakes = facts.get("mistakes") or ()
    if len(mistakes) > 1:
        return f"{len(mistakes)} mistakes:" + "".join(f"\n- {mistake['message']}" for mistake in mistakes)
    known = {"reply": _reply(facts)} | facts
    words = PLAIN_WORDS | {name: value for name, value in known.items() if value is not None}
    sentence = "".join(
        part.format_map(words) if set(_FACT.findall(part)) <= words.keys() else ""
        for part in _OPTIONAL_PART.split(SENTENCES[code])
    )
    where = str(facts.get("property") or "")
    if where not in sentence:
        sentence = f"{where}: {sentence}"
    hint = facts.get("detail") or HINTS.get(str(facts.get("reason")))
    return f"{sentence} {hint}" if hint else sentence


_OPTIONAL_PART = re.compile(r"\[(.*?)\]")
_FACT = re.compile(r"{(\w+)}")


def _reply(facts: dict[str, Any]) -> str | None:
    parts = (facts.get("smtp_code"), facts.get("enhanced_code"), facts.get("text"))
    return " ".join(str(part) for part in parts if part) or None
