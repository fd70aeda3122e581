"""Which headers a caller may add, and what may stand in them."""

from __future__ import annotations

from typing import Any

import pytest

from postroom_contract.errors import ArgumentException
from postroom_contract.headers import ALLOWED_HEADERS, LONGEST_TOKEN, MOST_HEADERS, is_free_text
from postroom_contract.message import EmailMessage


def headers(**given: str) -> EmailMessage:
    """A message with these headers; `_` in a name stands for `-`."""
    named = {name.replace("_", "-"): value for name, value in given.items()}
    return EmailMessage(to="ann@example.com", from_="bob@example.com", headers=named)


@pytest.mark.parametrize(
    "given",
    [
        {"List_Unsubscribe": "<https://example.com/u?id=1>, <mailto:u@example.com>"},
        {"References": "<1@a> <2@b>"},
        {"X_Campaign": "Grüße =?utf-8?q?x?="},
        {"Comments": "прив\u0435т"},
        {"Precedence": ""},
    ],
)
def test_an_allowed_header_is_taken(given: dict[str, str]) -> None:
    """Tokens in ASCII, free text in anything that is one line."""
    assert dict(headers(**given).headers) == {name.replace("_", "-"): value for name, value in given.items()}


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"Bcc": "x@example.com"}, "header_not_allowed"),
        ({"Subject": "x"}, "header_not_allowed"),
        ({"X_Priority": "1"}, "header_not_allowed"),
        ({"Not a name": "x"}, "header_not_allowed"),
        ({"X_A": "1\r\nBcc: x@example.com"}, "control_characters"),
        ({"X_A": "x" * 9000}, "too_long"),
        ({"List_Unsubscribe": "<https://bücher.example>"}, "not_ascii"),
        ({"References": "=?utf-8?q?=0ABcc:?="}, "not_ascii"),
        ({"In_Reply_To": "<" + "x" * LONGEST_TOKEN + ">"}, "not_ascii"),
        ({"X_A": "1", "x_a": "2"}, "conflict"),
        ({f"X_{number}": "x" for number in range(MOST_HEADERS + 1)}, "too_many"),
    ],
)
def test_any_other_header_is_refused_before_it_is_queued(given: dict[str, str], reason: str) -> None:
    """ArgumentException, with the word that tells why."""
    with pytest.raises(ArgumentException) as caught:
        headers(**given)

    assert caught.value.reason == reason


def test_free_text_is_what_may_be_encoded() -> None:
    """Three of the allowed headers, and every `X-` header."""
    assert {name for name in ALLOWED_HEADERS if is_free_text(name)} == {"comments", "organization", "thread-topic"}
    assert is_free_text("X-Anything")


@pytest.mark.parametrize(
    "changes", [{"message_id": "<=?utf-8?q?x?=@example.com>"}, {"to": "=?utf-8?q?x?=@example.com"}]
)
def test_what_a_reader_might_decode_is_refused_in_ids_and_addresses(changes: dict[str, Any]) -> None:
    """They can be neither encoded nor trusted to be left alone."""
    with pytest.raises((ArgumentException, OSError)):
        EmailMessage(**({"to": "ann@example.com", "from_": "bob@example.com"} | changes))
