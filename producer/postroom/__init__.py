"""What an application imports to hand mail over and to ask afterwards what became of it.

This is the public surface of the producer side, and `pip install postroom` brings all it needs. No SMTP client lives
here, and the worker package is never imported: the two sides meet in the contract and the broker alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

# Registers our outcomes with Celery's JSON, so that `AsyncResult(id).get()` gives what `Receipt.outcome()` gives.
import postroom_broker.celery_results  # noqa: F401
from postroom.errors import (
    ArgumentException,
    ArgumentNullException,
    BrokerUnavailable,
    CancelledException,
    Category,
    EmailSessionException,
    ErrorCode,
    ExpiredException,
    FileNotFoundException,
    IdempotencyException,
    IOException,
    PathTooLongException,
    PostroomError,
    PropertyEmptyException,
    PropertyNullException,
    PropertyValueOutOfRangeException,
    SealException,
    SettingsException,
    SmtpCommandException,
    UnauthorizedAccessException,
    UnencryptedTextException,
    UnknownOutcomeException,
)
from postroom_contract.address import EmailAddress
from postroom_contract.attachment import Attachment
from postroom_contract.delivery import OnUnknown
from postroom_contract.encrypted_text import EncryptedText
from postroom_contract.message import EmailMessage, EmailMessageBodyFormat, EmailMessagePriority
from postroom_contract.outcome import Cancelled, Expired, Failed, Outcome, Partial, Sent, State, Unknown
from postroom_contract.sealing import Keyring
from postroom_contract.session import Anonymous, BasicEmailSessionDetails, ServerDetails, UserCredentials

if TYPE_CHECKING:
    from postroom.mailer import Mailer
    from postroom.receipt import Receipt

__all__ = [
    "Anonymous",
    "ArgumentException",
    "ArgumentNullException",
    "Attachment",
    "BasicEmailSessionDetails",
    "BrokerUnavailable",
    "Cancelled",
    "CancelledException",
    "Category",
    "EmailAddress",
    "EmailMessage",
    "EmailMessageBodyFormat",
    "EmailMessagePriority",
    "EmailSessionException",
    "EncryptedText",
    "ErrorCode",
    "Expired",
    "ExpiredException",
    "Failed",
    "FileNotFoundException",
    "IOException",
    "IdempotencyException",
    "Keyring",
    "Mailer",
    "OnUnknown",
    "Outcome",
    "Partial",
    "PathTooLongException",
    "PostroomError",
    "PropertyEmptyException",
    "PropertyNullException",
    "PropertyValueOutOfRangeException",
    "Receipt",
    "SealException",
    "Sent",
    "ServerDetails",
    "SettingsException",
    "SmtpCommandException",
    "State",
    "UnauthorizedAccessException",
    "UnencryptedTextException",
    "Unknown",
    "UnknownOutcomeException",
    "UserCredentials",
]


def __getattr__(name: str) -> Any:
    """Import what needs Redis only when it is asked for: building a message must not cost a web process that."""
    if name == "Mailer":
        from postroom.mailer import Mailer  # noqa: PLC0415

        return Mailer
    if name == "Receipt":
        from postroom.receipt import Receipt  # noqa: PLC0415

        return Receipt
    raise AttributeError(f"module 'postroom' has no attribute {name!r}")
