"""Every exception: its type, its built-in parents, its number, and that it survives every way of travelling."""

import copy
import errno
import json
import pickle

import pytest

from postroom_contract.error_codes import HINTS, Category, ErrorCode
from postroom_contract.errors import (
    BY_CODE,
    PUBLIC_FACTS,
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
    make_error,
)

BUILT_INS: list[tuple[type[PostroomError], type[Exception]]] = [
    (ArgumentException, ValueError),
    (ArgumentNullException, TypeError),
    (ArgumentNullException, ValueError),
    (PropertyNullException, TypeError),
    (PropertyNullException, ValueError),
    (PropertyEmptyException, ValueError),
    (PropertyValueOutOfRangeException, ValueError),
    (UnencryptedTextException, ValueError),
    (FileNotFoundException, FileNotFoundError),
    (UnauthorizedAccessException, PermissionError),
    (PathTooLongException, OSError),
    (IOException, OSError),
    (SmtpCommandException, OSError),
    (EmailSessionException, ConnectionError),
    (BrokerUnavailable, ConnectionError),
    (SealException, ValueError),
    (SettingsException, ValueError),
    (UnknownOutcomeException, Exception),
    (CancelledException, Exception),
    (ExpiredException, Exception),
    (IdempotencyException, ValueError),
]
FACTS = {"reason": "refused", "host": "mail.example", "port": 25, "smtp_code": 550, "nested": [1, {"a": None}]}


@pytest.mark.parametrize(("kind", "built_in"), BUILT_INS)
def test_each_exception_is_also_the_built_in_that_one_would_catch(
    kind: type[PostroomError], built_in: type[Exception]
) -> None:
    """An `except` clause for the built-in catches ours."""
    with pytest.raises(built_in) as caught:
        raise kind

    assert isinstance(caught.value, PostroomError)
    assert caught.value.code is kind.default_code


def test_the_table_above_is_complete() -> None:
    """No exception is left out of this file."""
    assert {kind for kind, _ in BUILT_INS} | {PostroomError} == set(BY_CODE.values())


@pytest.mark.parametrize("code", ErrorCode)
def test_make_error_gives_each_code_its_type(code: ErrorCode) -> None:
    """The number alone is enough to rebuild an error."""
    error = make_error(int(code), {"reason": "x"})

    assert type(error) is BY_CODE[code]
    assert (error.error_code, error.code, error.reason) == (int(code), code, "x")
    assert error.args == (int(code), {"reason": "x"})


@pytest.mark.parametrize("code", ErrorCode)
def test_errors_survive_pickle_and_copy(code: ErrorCode) -> None:
    """`(code, facts)` are positional primitives: type, code, facts and errno come back whole."""
    error = make_error(code, dict(FACTS))
    travelled = [copy.copy(error), copy.deepcopy(error), type(error)(*json.loads(json.dumps(error.args)))]
    travelled += [pickle.loads(pickle.dumps(error, protocol)) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]  # noqa: S301

    for again in travelled:
        assert type(again) is type(error)
        assert (again.code, again.facts, again.args) == (error.code, error.facts, error.args)
        assert (str(again), repr(again), again.message) == (str(error), repr(error), error.message)
        assert getattr(again, "errno", None) == getattr(error, "errno", None)


@pytest.mark.parametrize(
    ("error", "number"),
    [
        (FileNotFoundException(), errno.ENOENT),
        (UnauthorizedAccessException(), errno.EACCES),
        (PathTooLongException(), errno.ENAMETOOLONG),
        (IOException(), errno.EIO),
        (EmailSessionException(None, {"reason": "refused"}), errno.ECONNABORTED),
        (BrokerUnavailable(), errno.ECONNREFUSED),
    ],
)
def test_os_errors_have_an_errno_and_its_words(error: OSError, number: int) -> None:
    """`errno` and `strerror` are what the operating system would have given, not our arguments."""
    assert error.errno == number
    assert isinstance(error.strerror, str)


def test_attributes_come_from_the_facts() -> None:
    """Each fact that a producer asks for has its attribute."""
    error = EmailSessionException(
        201,
        {"reason": "certificate_expired", "smtp_code": 454, "enhanced_code": "4.7.0", "retryable": True, "port": 465},
    )

    assert (error.type, error.category, error.error_code) == ("EmailSessionException", Category.SSL, 201)
    assert (error.reason, error.smtp_code, error.enhanced_code) == ("certificate_expired", 454, "4.7.0")
    assert error.retryable
    assert error.help_link == "docs/errors.md#code-201"
    assert error.as_dict() == {
        "type": "EmailSessionException",
        "category": "SSL",
        "error_code": 201,
        "reason": "certificate_expired",
        "smtp_code": 454,
        "enhanced_code": "4.7.0",
        "message": "TLS could not be established on port 465. The server's certificate has expired.",
        "help_link": "docs/errors.md#code-201",
        "retryable": True,
    }
    assert json.loads(json.dumps(error.as_dict())) == error.as_dict()


def test_a_bare_error_is_not_retryable_and_knows_nothing() -> None:
    """Absent facts read as None, False and empty."""
    error = PostroomError()

    assert (error.reason, error.smtp_code, error.enhanced_code, error.category) == (None, None, None, None)
    assert not error.retryable
    assert error.mistakes == []
    assert error.code is ErrorCode.INTERNAL


def test_message_tells_all_and_str_only_what_may_stand_in_a_log() -> None:
    """Host, path, address and reply text are for `message`; `str` and `repr` keep to codes, words and the port."""
    error = SmtpCommandException(
        1301, {"command": "RCPT", "smtp_code": 550, "enhanced_code": "5.1.1", "text": "<a@b.example> unknown"}
    )

    assert error.message == "The server refused RCPT: 550 5.1.1 <a@b.example> unknown."
    assert str(error) == "The server refused a command: 550 5.1.1."
    assert repr(error) == "SmtpCommandException(1301, smtp_code=550, enhanced_code='5.1.1')"


def test_public_facts_leave_out_everything_else() -> None:
    """Only the allow-listed facts may be stored in the clear."""
    secret = dict.fromkeys(("host", "path", "address", "text", "url", "detail", "mistakes", "command", "new"), "canary")
    error = EmailSessionException(100, {**secret, **dict.fromkeys(PUBLIC_FACTS, "shown")})

    assert error.public_facts() == dict.fromkeys(PUBLIC_FACTS, "shown")


def test_broker_unavailable_says_what_is_known() -> None:
    """Both facts of a failed enqueue have attributes, false and None by default."""
    told = BrokerUnavailable(None, {"maybe_enqueued": True, "receipt_id": "d1"})

    assert (told.maybe_enqueued, told.receipt_id) == (True, "d1")
    assert (BrokerUnavailable().maybe_enqueued, BrokerUnavailable().receipt_id) == (False, None)


def test_hints_are_sentences() -> None:
    """What a reason adds stands behind the sentence as one of its own."""
    assert all(hint[0].isupper() and hint.endswith(".") for hint in HINTS.values())
