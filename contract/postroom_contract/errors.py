"""Every error Postroom raises, as the block names it, with its number and its facts.

Owns the exception tree and the way an error tells its story: `code` says what failed, `facts` say the particulars, and
the sentence a person reads is built from both by `error_codes`. Deciding what to do about an error (retry, give up)
must not live here; that is one table in the worker. Both sides import this module, and nothing here imports them.

Over 300 lines because the tree of exceptions is one thing to look up, and most of its classes are three lines.
"""

from __future__ import annotations

import errno
import os
from typing import Any, ClassVar

from postroom_contract import error_codes
from postroom_contract.error_codes import Category, ErrorCode

# What anyone may see: facts outside this list can name a person, a host or a file, and are sealed before an error
# leaves the process (Celery stores exception arguments and tracebacks in the clear).
PUBLIC_FACTS = frozenset(
    {"reason", "phase", "property", "smtp_code", "enhanced_code", "retryable", "limit", "maybe_enqueued", "outcome"}
)

# What `str` may say besides: our own fixed sentences and the server's port. Hosts, paths and replies are for those who
# ask (`message`): exceptions end in the application's log.
_SPOKEN_FACTS = PUBLIC_FACTS | {"detail", "mistakes", "port", "url"}

Facts = dict[str, Any]


class PostroomError(Exception):
    """The root of every error raised by Postroom.

    Arguments are positional primitives, `(code, facts)`, because that is the only form in which an exception
    survives Celery's result store. `facts["outcome"]`, where present, is the sealed record of the whole delivery.
    """

    default_code: ClassVar[ErrorCode] = ErrorCode.INTERNAL
    # What `errno` says where the exception is an OSError too.
    os_error: ClassVar[int] = errno.EIO

    def __init__(self, code: int | None = None, facts: Facts | None = None, /) -> None:
        self.code = ErrorCode(self.default_code if code is None else code)
        self.facts: Facts = facts or {}
        super().__init__(int(self.code), self.facts)
        if isinstance(self, OSError):
            # OSError has taken our two arguments for these. By name: not every one of our exceptions has them.
            for name, value in {"errno": self.os_error, "strerror": os.strerror(self.os_error)}.items():
                setattr(self, name, value)

    @property
    def type(self) -> str:
        """The exception's name in the block."""
        return type(self).__name__

    @property
    def error_code(self) -> int:
        """The block's number (100 to 401) or one of ours (from 1000)."""
        return int(self.code)

    @property
    def category(self) -> Category | None:
        """The block's category; only session errors have one."""
        return error_codes.CATEGORIES.get(self.code)

    @property
    def reason(self) -> str | None:
        """A word that tells apart what shares a code, such as `certificate_expired` under 201."""
        return self.facts.get("reason")

    @property
    def smtp_code(self) -> int | None:
        """The server's three-digit reply code (RFC 5321 section 4.2), where a reply caused the error."""
        return self.facts.get("smtp_code")

    @property
    def enhanced_code(self) -> str | None:
        """The server's enhanced status code such as `5.1.1` (RFC 3463), where it gave one."""
        return self.facts.get("enhanced_code")

    @property
    def retryable(self) -> bool:
        """Whether sending again later is safe and may succeed."""
        return bool(self.facts.get("retryable", False))

    @property
    def mistakes(self) -> list[Facts]:
        """For bad input, every mistake found, in the order that decided this error's type."""
        return list(self.facts.get("mistakes", ()))

    @property
    def help_link(self) -> str:
        """Where the documentation explains this code."""
        return error_codes.help_link(self.code)

    @property
    def message(self) -> str:
        """One sentence for a person: what failed, with host, path or address where they are known."""
        return error_codes.describe(self.code, self._opened_facts())

    def as_dict(self) -> Facts:
        """The error as JSON, in the shape that `postroom status` prints."""
        return {
            "type": self.type,
            "category": self.category,
            "error_code": self.error_code,
            "reason": self.reason,
            "smtp_code": self.smtp_code,
            "enhanced_code": self.enhanced_code,
            "message": self.message,
            "help_link": self.help_link,
            "retryable": self.retryable,
        }

    def public_facts(self) -> Facts:
        """The facts that anyone may see: codes and words, never a name, an address or a text."""
        return {name: value for name, value in self.facts.items() if name in PUBLIC_FACTS}

    def _opened_facts(self) -> Facts:
        record = self.facts.get("outcome")
        if record is None:
            return self.facts
        # Imported here because outcomes carry errors: an error has to open its record only when somebody asks.
        from postroom_contract.outcome import open_facts  # noqa: PLC0415

        return open_facts(record) or self.facts

    def __str__(self) -> str:
        """Tell the story without names, hosts, paths and replies, which `message` has: tracebacks and logs print this."""
        return error_codes.describe(self.code, {k: v for k, v in self.facts.items() if k in _SPOKEN_FACTS})

    def __repr__(self) -> str:
        """Show codes and public facts only: reprs reach logs, events and Flower."""
        shown = "".join(
            f", {name}={value!r}" for name, value in self.public_facts().items() if name not in {"outcome", "retryable"}
        )
        return f"{self.type}({self.error_code}{shown})"


class ArgumentException(PostroomError, ValueError):
    """A value is not one of those allowed."""

    default_code = ErrorCode.INVALID_ARGUMENT


class ArgumentNullException(PostroomError, TypeError, ValueError):
    """An attachment's path is null."""

    default_code = ErrorCode.NULL_ARGUMENT


class PropertyNullException(PostroomError, TypeError, ValueError):
    """A required property is null."""

    default_code = ErrorCode.NULL_PROPERTY


class PropertyEmptyException(PostroomError, ValueError):
    """A required property is empty."""

    default_code = ErrorCode.EMPTY_PROPERTY


class PropertyValueOutOfRangeException(PostroomError, ValueError):
    """A number lies outside its range."""

    default_code = ErrorCode.OUT_OF_RANGE


class UnencryptedTextException(PostroomError, ValueError):
    """A secret was given in the clear."""

    default_code = ErrorCode.UNENCRYPTED_TEXT


class IdempotencyException(PostroomError, ValueError):
    """An idempotency key, or a receipt id, was used again for another message; nothing was queued."""

    default_code = ErrorCode.KEY_REUSED


class FileNotFoundException(PostroomError, FileNotFoundError):
    """An attachment does not exist."""

    default_code = ErrorCode.FILE_NOT_FOUND
    os_error = errno.ENOENT


class UnauthorizedAccessException(PostroomError, PermissionError):
    """An attachment may not be read, is a folder, or lies outside the allowed roots."""

    default_code = ErrorCode.ACCESS_DENIED
    os_error = errno.EACCES


class PathTooLongException(PostroomError, OSError):
    """A path is longer than the system allows."""

    default_code = ErrorCode.PATH_TOO_LONG
    os_error = errno.ENAMETOOLONG


class IOException(PostroomError, OSError):
    """Reading a file or talking over a socket failed."""

    default_code = ErrorCode.CONNECTION_LOST
    os_error = errno.EIO


class SmtpCommandException(PostroomError, OSError):
    """The server refused a command, or would have to: a malformed address, a message over its size."""

    default_code = ErrorCode.COMMAND_REFUSED
    os_error = errno.EPROTO


class EmailSessionException(PostroomError, ConnectionError):
    """No session could be opened with the server; `category` and `error_code` tell why."""

    default_code = ErrorCode.INVALID_PORT
    os_error = errno.ECONNABORTED


class UnknownOutcomeException(PostroomError):
    """The server took the last byte and never answered: the mail may have been delivered."""

    default_code = ErrorCode.UNKNOWN_OUTCOME


class CancelledException(PostroomError):
    """The sender called the message back, and nobody got it."""

    default_code = ErrorCode.CANCELLED


class ExpiredException(PostroomError):
    """The message's time was over before it could be sent, and nobody got it.

    It is no `TimeoutError`: that is what a receipt raises whose delivery is not decided yet.
    """

    default_code = ErrorCode.EXPIRED


class BrokerUnavailable(PostroomError, ConnectionError):
    """Redis could not be reached, or did not answer in time.

    `maybe_enqueued` is true where the command had been handed over and its answer was lost. The receipt of `receipt_id`
    then tells, once Redis is back, whether the message is in the queue. Sending it again as it is with this `receipt_id`
    cannot double it; sending it again without may.
    """

    default_code = ErrorCode.BROKER_UNAVAILABLE
    os_error = errno.ECONNREFUSED

    @property
    def maybe_enqueued(self) -> bool:
        """Whether the message may be in the queue although no answer came."""
        return bool(self.facts.get("maybe_enqueued", False))

    @property
    def receipt_id(self) -> str | None:
        """The delivery id that the message was given."""
        return self.facts.get("receipt_id")


class SealException(PostroomError, ValueError):
    """A sealed text cannot be opened: unknown key, tampered text, or bound to something else."""

    default_code = ErrorCode.SEAL_BROKEN


class SettingsException(PostroomError, ValueError):
    """One or more settings are wrong; all of them are listed."""

    default_code = ErrorCode.BAD_SETTINGS


BY_CODE: dict[ErrorCode, type[PostroomError]] = {
    ErrorCode.INTERNAL: PostroomError,
    ErrorCode.INVALID_PORT: EmailSessionException,
    ErrorCode.INVALID_HOST: EmailSessionException,
    ErrorCode.SSL_REQUIRED: EmailSessionException,
    ErrorCode.SSL_UNSUPPORTED: EmailSessionException,
    ErrorCode.INVALID_USER_CREDENTIALS: EmailSessionException,
    ErrorCode.INVALID_CERTIFICATE: EmailSessionException,
    ErrorCode.INVALID_GMAIL_CLIENT_CREDENTIALS: EmailSessionException,
    ErrorCode.INVALID_ARGUMENT: ArgumentException,
    ErrorCode.NULL_ARGUMENT: ArgumentNullException,
    ErrorCode.NULL_PROPERTY: PropertyNullException,
    ErrorCode.EMPTY_PROPERTY: PropertyEmptyException,
    ErrorCode.OUT_OF_RANGE: PropertyValueOutOfRangeException,
    ErrorCode.UNENCRYPTED_TEXT: UnencryptedTextException,
    ErrorCode.KEY_REUSED: IdempotencyException,
    ErrorCode.FILE_NOT_FOUND: FileNotFoundException,
    ErrorCode.ACCESS_DENIED: UnauthorizedAccessException,
    ErrorCode.PATH_TOO_LONG: PathTooLongException,
    ErrorCode.PATH_INVALID: IOException,
    ErrorCode.FILE_UNREADABLE: IOException,
    ErrorCode.CONNECTION_LOST: IOException,
    ErrorCode.LOCAL_RESOURCE: IOException,
    ErrorCode.INVALID_ADDRESS: SmtpCommandException,
    ErrorCode.COMMAND_REFUSED: SmtpCommandException,
    ErrorCode.MESSAGE_TOO_LARGE: SmtpCommandException,
    ErrorCode.UNKNOWN_OUTCOME: UnknownOutcomeException,
    ErrorCode.CANCELLED: CancelledException,
    ErrorCode.EXPIRED: ExpiredException,
    ErrorCode.BROKER_UNAVAILABLE: BrokerUnavailable,
    ErrorCode.SEAL_BROKEN: SealException,
    ErrorCode.BAD_SETTINGS: SettingsException,
}


def make_error(code: int, facts: Facts | None = None) -> PostroomError:
    """The error that belongs to a code, as its own type."""
    return BY_CODE[ErrorCode(code)](code, facts)
