"""What every error about a server tells, and what it keeps to itself."""

from postroom_contract.error_codes import ErrorCode
from postroom_contract.errors import EmailSessionException
from postroom_worker.smtp.place import Place
from postroom_worker.smtp.reply import Reply

PLACE = Place("mail.example", 465)


def test_an_error_carries_all_facts() -> None:
    """Place, phase, reason, retryable and the server's words; the code decides the type."""
    reply = Reply(454, "4.7.0", "later")

    error = PLACE.failure(
        ErrorCode.SSL_UNSUPPORTED, phase="starttls", reason="starttls_refused", retryable=True, reply=reply
    )

    assert isinstance(error, EmailSessionException)
    assert error.facts == {
        "host": "mail.example",
        "port": 465,
        "phase": "starttls",
        "reason": "starttls_refused",
        "retryable": True,
        "smtp_code": 454,
        "enhanced_code": "4.7.0",
        "text": "later",
    }


def test_an_error_without_particulars_claims_none() -> None:
    """Absent facts are absent, not null."""
    error = PLACE.failure(ErrorCode.INVALID_HOST, phase="resolve")

    assert error.facts == {"host": "mail.example", "port": 465, "phase": "resolve", "retryable": False}


def test_the_repr_shows_no_host() -> None:
    """A host can be encrypted text in the session details."""
    assert "mail" not in repr(PLACE)
