"""Every error that Postroom raises, for `except` clauses in applications.

Re-exports the contract's tree under its public name and holds nothing of its own. Each class is also the Python
built-in that a Python programmer would catch.
"""

from postroom_contract.error_codes import Category, ErrorCode
from postroom_contract.errors import (
    ArgumentException,
    ArgumentNullException,
    BrokerUnavailable,
    CancelledException,
    EmailSessionException,
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

__all__ = [
    "ArgumentException",
    "ArgumentNullException",
    "BrokerUnavailable",
    "CancelledException",
    "Category",
    "EmailSessionException",
    "ErrorCode",
    "ExpiredException",
    "FileNotFoundException",
    "IOException",
    "IdempotencyException",
    "PathTooLongException",
    "PostroomError",
    "PropertyEmptyException",
    "PropertyNullException",
    "PropertyValueOutOfRangeException",
    "SealException",
    "SettingsException",
    "SmtpCommandException",
    "UnauthorizedAccessException",
    "UnencryptedTextException",
    "UnknownOutcomeException",
]
