"""The JSON that `postroom send` reads: what it may look like, and how every mistake in it is told."""

import base64
import json
from typing import Any

import pytest

from postroom.cli.request import DetailedRequest, NamedRequest, read_request
from postroom_contract.errors import ArgumentException, PostroomError, PropertyNullException
from tests.producer.cli.conftest import changed


def test_blocks_json_is_read_as_it_stands(request_json: dict[str, Any]) -> None:
    """PascalCase names and nulls become a message and session details."""
    request = read_request(json.dumps(request_json).encode())

    assert isinstance(request, DetailedRequest)
    assert request.email_message.recipients == ("recipient@outlook.com",)
    assert request.session.server_details.use_ssl
    assert request.close_session is None


def test_snake_case_is_read_too() -> None:
    """Each name may be written as Python writes it, at every level."""
    message = {"to": [{"address": "a@example.org"}], "from": {"address": "b@example.org"}}
    details = {"server_details": {"host": "localhost", "port": 25}, "credentials": {"anonymous": True}}
    asked = {"email_message": message, "basic_email_session_details": details, "close_session": True}
    request = read_request(json.dumps(asked).encode())

    assert request.email_message.recipients == ("a@example.org",)
    assert request.close_session is True


@pytest.mark.parametrize("name", ["Session", "session"])
def test_session_may_be_named(request_json: dict[str, Any], name: str) -> None:
    """A name stands for the details, which may then be null."""
    request = read_request(json.dumps({**request_json, "BasicEmailSessionDetails": None, name: "office"}).encode())

    assert isinstance(request, NamedRequest)
    assert request.session == "office"


def test_null_name_is_as_good_as_none(request_json: dict[str, Any]) -> None:
    """A request may have both properties, as long as one of them is null."""
    assert isinstance(read_request(json.dumps({**request_json, "Session": None}).encode()), DetailedRequest)


def test_content_of_an_attachment_is_base64(request_json: dict[str, Any]) -> None:
    """Bytes travel in JSON as base64 and come out as themselves."""
    content = bytes(range(256))
    attachment = {"Content": base64.b64encode(content).decode(), "Name": "all.bin"}
    request = read_request(json.dumps(changed(request_json, "EmailMessage", Attachments=[attachment])).encode())

    assert request.email_message.attachments[0].content == content


def test_byte_order_mark_is_no_mistake(request_json: dict[str, Any]) -> None:
    """Editors that write one are forgiven."""
    assert read_request(json.dumps(request_json).encode("utf-8-sig")).email_message.subject == "Example email subject"


def test_all_mistakes_are_listed_and_the_sessions_come_first(request_json: dict[str, Any]) -> None:
    """The first mistake decides the error's type: session details before message, whatever stands first in the file."""
    asked = changed(changed(request_json, "ServerDetails", Host=None), "EmailMessage", To=[], From=None)
    with pytest.raises(PropertyNullException) as caught:
        read_request(json.dumps(asked).encode())

    assert [mistake["property"] for mistake in caught.value.mistakes] == [
        "BasicEmailSessionDetails.ServerDetails.Host",
        "EmailMessage.To",
        "EmailMessage.From",
    ]


@pytest.mark.parametrize("missing", ["EmailMessage", "BasicEmailSessionDetails"])
def test_both_halves_are_required(request_json: dict[str, Any], missing: str) -> None:
    """Without a message or a session there is nothing to send, or nowhere to."""
    for asked in ({**request_json, missing: None}, {k: v for k, v in request_json.items() if k != missing}):
        with pytest.raises(PropertyNullException, match=f"{missing} is required"):
            read_request(json.dumps(asked).encode())


def test_who_gives_no_session_hears_of_names(request_json: dict[str, Any]) -> None:
    """Alone, and before the other mistakes."""
    asked = {"EmailMessage": request_json["EmailMessage"]}
    for wrong in (asked, {**asked, "EmailMessage": {}}):
        with pytest.raises(PropertyNullException) as caught:
            read_request(json.dumps(wrong).encode())

        assert "Or give Session, the name of one that POSTROOM_SESSIONS_FILE describes." in caught.value.message
        assert caught.value.mistakes[0]["property"] == "BasicEmailSessionDetails"


def test_a_message_that_is_not_in_its_place_is_told_in_one_sentence(request_json: dict[str, Any]) -> None:
    """Not as a dozen properties that are unknown or missing."""
    with pytest.raises(ArgumentException) as caught:
        read_request(json.dumps({**request_json["EmailMessage"], "Session": "office"}).encode())

    assert 'To and From and Subject and Body belong inside "EmailMessage": {...}.' in caught.value.message


def test_name_and_details_together_are_refused(request_json: dict[str, Any]) -> None:
    """Nobody has to guess which of the two was meant."""
    with pytest.raises(ArgumentException, match="either Session") as caught:
        read_request(json.dumps({**request_json, "Session": "office"}).encode())

    assert caught.value.reason == "conflict"


def test_unknown_property_is_refused(request_json: dict[str, Any]) -> None:
    """A slip of the pen, such as CloseSesion, does not pass unseen."""
    with pytest.raises(ArgumentException, match="CloseSesion") as caught:
        read_request(json.dumps({**request_json, "CloseSesion": True}).encode())

    assert caught.value.reason == "unknown_property"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (b'{"EmailMessage": }', "line 1, column 18"),
        (b"", "line 1, column 1"),
        (b"[]", "not an object"),
        (b'"text"', "not an object"),
        (b"\xff\xfe\xfd", "not valid JSON"),
        (b"[" * 100_000, "not valid JSON"),
        (b'{"EmailMessage": ' + b"9" * 5000 + b"}", "not valid JSON"),
    ],
    ids=["syntax", "empty", "list", "string", "not text", "too deep", "too long a number"],
)
def test_what_is_no_request_is_told_in_one_line(text: bytes, complaint: str) -> None:
    """Any bytes at all end in the block's exception, which does not quote them."""
    with pytest.raises(ArgumentException, match=complaint) as caught:
        read_request(text)

    assert "\n" not in caught.value.message


def test_lone_surrogate_is_refused(request_json: dict[str, Any]) -> None:
    """JSON can write what no mail can carry."""
    with pytest.raises(PostroomError):
        read_request(json.dumps(changed(request_json, "EmailMessage", Subject="\ud800")).encode())
