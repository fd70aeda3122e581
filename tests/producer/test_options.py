"""What may be asked for beside message and session: names, times and keys."""

from datetime import UTC, datetime

import pytest

from postroom.cli.request import NamedRequest
from postroom.options import MOST_KEY_CHARACTERS, SendOptions, check_key, check_names, check_time
from postroom_contract.errors import ArgumentException, PropertyNullException
from tests.support.payloads import BLOCK_MESSAGE


def test_the_command_line_takes_all_of_them() -> None:
    """Whatever a program may ask for can stand in a file too, and is handed on."""
    request = NamedRequest.accept({"Session": "s", "EmailMessage": BLOCK_MESSAGE})

    assert set(request.options) == set(SendOptions.__annotations__)
    assert not any(request.options.values())


def test_a_name_that_is_none_is_told_with_those_that_are() -> None:
    """A slip must not go unheard: without its time a message leaves at once."""
    check_names(SendOptions.__annotations__)
    with pytest.raises(TypeError) as caught:
        check_names(["expires_at", "sent_at"])

    assert str(caught.value) == (
        "send() has no keyword 'sent_at'; it has close_session, send_at, expires_at, on_unknown, "
        "on_outcome, idempotency_key, receipt_id"
    )


def test_a_time_is_read_as_an_instant() -> None:
    """Text and datetime, in UTC."""
    nine = datetime(2030, 3, 1, 8, tzinfo=UTC)

    assert check_time("2030-03-01T09:00:00+01:00") == check_time(nine) == nine


@pytest.mark.parametrize(
    ("given", "kind", "told"),
    [
        (None, PropertyNullException, "SendAt is required and is null."),
        ("2030-03-01T09:00:00", ArgumentException, "SendAt is not valid. It needs an offset from UTC"),
        ("soon", ArgumentException, "SendAt is not valid. Write it as ISO 8601"),
    ],
)
def test_a_time_that_is_none(given: object, kind: type[Exception], told: str) -> None:
    """To move a message takes a time."""
    with pytest.raises(kind, match=told):
        check_time(given)


@pytest.mark.parametrize("key", [None, "k", "order 17", "ü" * MOST_KEY_CHARACTERS, "\n"])
def test_a_key_is_any_text(key: str | None) -> None:
    """It is only ever hashed."""
    assert check_key(key) == key


@pytest.mark.parametrize("key", ["", "k" * (MOST_KEY_CHARACTERS + 1), 17, b"k", ["k"]])
def test_a_key_that_is_none(key: object) -> None:
    """An empty one is a slip: all messages would be the same. It is not quoted."""
    with pytest.raises(ArgumentException, match=r"IdempotencyKey is not valid\. A key is a text of 1 to 256") as caught:
        check_key(key)

    assert "kkk" not in f"{caught.value} {caught.value.args}"


def test_half_a_character_is_no_key() -> None:
    """A lone surrogate, which JSON can write, has no octets to hash."""
    with pytest.raises(ArgumentException):
        check_key("\ud800")
