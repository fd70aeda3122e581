"""The message: the block's payloads word for word, every rule of its properties, and what we have beyond them."""

import json
from typing import Any

import pytest

from postroom_contract import message as module
from postroom_contract.address import EmailAddress
from postroom_contract.errors import (
    ArgumentException,
    ArgumentNullException,
    IOException,
    PostroomError,
    PropertyEmptyException,
    PropertyNullException,
    SmtpCommandException,
)
from postroom_contract.headers import ALLOWED_HEADERS, MOST_HEADER_CHARACTERS, MOST_HEADERS
from postroom_contract.message import (
    MOST_ATTACHMENTS,
    MOST_RECIPIENTS,
    MOST_SUBJECT_CHARACTERS,
    EmailMessage,
    EmailMessageBodyFormat,
    EmailMessagePriority,
)
from tests.support.payloads import BLOCK_MESSAGE, message_with

A = {"Name": None, "Address": "a@example.com"}


def refused(**properties: Any) -> PostroomError:
    """The error for the block's message with other properties."""
    with pytest.raises(PostroomError) as caught:
        EmailMessage.accept(message_with(**properties))
    return caught.value


@pytest.mark.parametrize("read", [EmailMessage.accept, lambda data: EmailMessage.accept_json(json.dumps(data))])
def test_the_blocks_example_is_accepted_verbatim(read: Any) -> None:
    """Nulls and empty lists included, as an object and as JSON text; null means the block's default."""
    message = read(BLOCK_MESSAGE)

    assert [(to.name, to.address) for to in message.to] == [(None, "recipient@outlook.com")]
    assert message.from_.address == "sender@gmail.com"
    assert (message.cc, message.bcc, message.attachments) == ((), (), ())
    assert message.priority is EmailMessagePriority.Normal
    assert message.body_format is EmailMessageBodyFormat.Text
    assert (message.subject, message.body) == ("Example email subject", "Example email body")
    assert (message.text, message.html) == ("Example email body", None)


@pytest.mark.parametrize(
    "properties",
    [
        {"To": [A, A, {"Name": "C", "Address": "c@example.com"}]},
        {"Cc": [A], "Bcc": [A]},
        {"Cc": [A, A], "Bcc": [A, A]},
        {"Cc": None, "Bcc": None, "Attachments": None},
        {"Priority": 2},
        {"Priority": "Urgent"},
        {"Priority": "EmailMessagePriority.Urgent"},
        {"BodyFormat": "EmailMessageBodyFormat.Html", "Body": "<h1>Example email body</h1>"},
        {"Subject": None, "Body": None},
        {"Subject": "", "Body": ""},
        {"Attachments": ["/data/one.txt"]},
        {"Attachments": ["C:\\data\\one.txt", "/data/two.txt"]},
    ],
)
def test_the_blocks_other_examples_are_accepted(properties: dict[str, Any]) -> None:
    """Every payload that the reference walks through, and its way through the queue and back."""
    message = EmailMessage.accept(message_with(**properties))

    assert EmailMessage.accept_json(message.model_dump_json(by_alias=True)) == message
    assert EmailMessage.accept_json(message.model_dump_json(by_alias=True, exclude_none=True)) == message


@pytest.mark.parametrize("member", EmailMessagePriority)
def test_every_spelling_of_a_priority(member: EmailMessagePriority) -> None:
    """The member, its number, its name and the reference's own spelling are one."""
    for spelling in (member, int(member), member.name, f"EmailMessagePriority.{member.name}"):
        assert EmailMessage.accept(message_with(Priority=spelling)).priority is member


@pytest.mark.parametrize("member", EmailMessageBodyFormat)
def test_every_spelling_of_a_body_format(member: EmailMessageBodyFormat) -> None:
    """The same for the body format."""
    for spelling in (member, int(member), member.name, f"EmailMessageBodyFormat.{member.name}"):
        assert EmailMessage.accept(message_with(BodyFormat=spelling)).body_format is member


@pytest.mark.parametrize("name", ["Priority", "BodyFormat"])
@pytest.mark.parametrize(
    "value", [3, -1, 1.0, True, "urgent", "URGENT", "", "2", "EmailMessage.Urgent", ".Urgent", [], {}, "Normal.Urgent"]
)
def test_anything_else_is_not_one_of_the_values(name: str, value: object) -> None:
    """A value outside the enum is the block's ArgumentException, which lists the values."""
    error = refused(**{name: value})

    assert type(error) is ArgumentException
    assert (error.error_code, error.reason, error.facts["property"]) == (1000, "unknown_value", name)
    assert "Use one of " in str(error)


def test_numbers_are_the_blocks() -> None:
    """The enums' numbers are part of the payload's form."""
    assert [(p.name, int(p)) for p in EmailMessagePriority] == [("Normal", 0), ("NonUrgent", 1), ("Urgent", 2)]
    assert [(f.name, int(f)) for f in EmailMessageBodyFormat] == [("Text", 0), ("Html", 1)]


def test_snake_case_is_the_same_message() -> None:
    """Python's spelling and the block's make equal messages; `from_` and `from` both name the sender."""
    block = EmailMessage.accept(message_with(Priority=2, HtmlBody="<p>", ReplyTo=[A], EnvelopeFrom=A))
    snake: dict[str, Any] = {
        "to": [{"name": None, "address": "recipient@outlook.com"}],
        "cc": (),
        "priority": EmailMessagePriority.Urgent,
        "subject": "Example email subject",
        "body": "Example email body",
        "html_body": "<p>",
        "reply_to": "a@example.com",
        "envelope_from": "a@example.com",
    }

    assert EmailMessage.accept({**snake, "from": "sender@gmail.com"}) == block
    assert EmailMessage(**snake, from_=EmailAddress(address="sender@gmail.com")) == block


def test_one_address_or_path_may_stand_for_a_list() -> None:
    """What is not a list is a list of one."""
    message = EmailMessage.accept({"to": "a@example.com", "from_": A, "cc": A, "attachments": "/a"})

    assert [len(part) for part in (message.to, message.cc, message.attachments)] == [1, 1, 1]


@pytest.mark.parametrize(
    ("properties", "kind", "code", "where"),
    [
        ({"To": None}, PropertyNullException, 1002, "To"),
        ({"To": []}, PropertyEmptyException, 1003, "To"),
        ({"From": None}, PropertyNullException, 1002, "From"),
        ({"To": [None]}, PropertyNullException, 1002, "To[0]"),
        ({"To": [A, {"Name": "x", "Address": None}]}, PropertyNullException, 1002, "To[1].Address"),
        ({"To": [A, {"Name": "x", "Address": ""}]}, PropertyEmptyException, 1003, "To[1].Address"),
        ({"From": {"Name": "x", "Address": None}}, PropertyNullException, 1002, "From.Address"),
        ({"From": {"Name": "x", "Address": ""}}, PropertyEmptyException, 1003, "From.Address"),
        ({"Cc": [{"Address": "a b@c"}]}, SmtpCommandException, 1300, "Cc[0].Address"),
        ({"Bcc": [A, A, {"Address": "nobody"}]}, SmtpCommandException, 1300, "Bcc[2].Address"),
        ({"ReplyTo": [{"Address": "x@"}]}, SmtpCommandException, 1300, "ReplyTo[0].Address"),
        ({"EnvelopeFrom": {"Address": "x@"}}, SmtpCommandException, 1300, "EnvelopeFrom.Address"),
        ({"Attachments": [None]}, ArgumentNullException, 1001, "Attachments[0].Path"),
        ({"Attachments": ["/a", ""]}, ArgumentException, 1000, "Attachments[1].Path"),
        ({"Attachments": ["/a", " \t"]}, ArgumentException, 1000, "Attachments[1].Path"),
        ({"Attachments": ["a\0b"]}, ArgumentException, 1000, "Attachments[0].Path"),
        ({"Attachments": [" a"]}, IOException, 1103, "Attachments[0].Path"),
        ({"Subject": 5}, ArgumentException, 1000, "Subject"),
        ({"Body": ["x"]}, ArgumentException, 1000, "Body"),
        ({"To": 5}, ArgumentException, 1000, "To"),
        ({"Sender": A}, ArgumentException, 1000, "Sender"),
    ],
)
def test_the_blocks_error_table(properties: dict[str, Any], kind: type[PostroomError], code: int, where: str) -> None:
    """Each row of the block that belongs to a message: type, code and the property at fault."""
    error = refused(**properties)

    assert type(error) is kind
    assert (error.error_code, error.facts["property"], error.category) == (code, where, None)
    assert [mistake["property"] for mistake in error.mistakes] == [where]
    assert where in str(error)


def test_recipients_may_be_undisclosed_by_express_word() -> None:
    """With `Undisclosed` To is empty and Bcc or Cc names the recipients; false and null are as good as absent."""
    message = EmailMessage.accept(message_with(Undisclosed=True, To=[], Bcc=[A]))

    assert (message.to, message.recipients) == ((), ("a@example.com",))
    for absent in (None, False):
        assert EmailMessage.accept(message_with(Undisclosed=absent)) == EmailMessage.accept(BLOCK_MESSAGE)
        assert isinstance(refused(Undisclosed=absent, To=[], Bcc=[A]), PropertyEmptyException)


@pytest.mark.parametrize(
    ("properties", "kind", "where"),
    [
        ({"To": []}, PropertyEmptyException, "Bcc"),
        ({"To": [A]}, ArgumentException, "Undisclosed"),
        ({"To": None, "Bcc": [A]}, PropertyNullException, "To"),
        ({"To": [], "Bcc": [A], "Undisclosed": "yes"}, ArgumentException, "Undisclosed"),
    ],
)
def test_undisclosed_is_not_nobody(properties: dict[str, Any], kind: type[PostroomError], where: str) -> None:
    """Somebody has to get it, and To cannot name anybody then."""
    error = refused(**({"Undisclosed": True} | properties))

    assert (type(error), error.mistakes[0]["property"]) == (kind, where)


def test_a_null_message_is_the_blocks_error() -> None:
    """Null in the place of the whole message, as an object and as JSON."""
    with pytest.raises(PropertyNullException):
        EmailMessage.accept(None)
    with pytest.raises(PropertyNullException):
        EmailMessage.accept_json("null")


@pytest.mark.parametrize("text", ["", "{", "[]", '"text"', "5", b"\xff"])
def test_json_that_is_no_message_is_an_argument_error(text: str | bytes) -> None:
    """Broken JSON and JSON of another shape are told apart from a null message."""
    with pytest.raises(ArgumentException) as caught:
        EmailMessage.accept_json(text)

    assert caught.value.reason == "wrong_type"


CONTROLS = [
    "a\r\nBcc: x@example.com",
    "a\nb",
    "a\rb",
    "a\0b",
    "a\x0bb",
    "a\x0cb",
    "a\x85b",
    "a\u2028b",
    "a\u2029b",
    "a\x7fb",
    "\udc80",
]


@pytest.mark.parametrize("text", CONTROLS, ids=ascii)
@pytest.mark.parametrize(
    ("properties", "where"),
    [
        (lambda text: {"Subject": text}, "Subject"),
        (lambda text: {"From": {"Name": text, "Address": "a@example.com"}}, "From.Name"),
        (lambda text: {"To": [{"Name": text, "Address": "a@example.com"}]}, "To[0].Name"),
        (lambda text: {"Cc": [{"Name": text, "Address": "a@example.com"}]}, "Cc[0].Name"),
        (lambda text: {"ReplyTo": [{"Name": text, "Address": "a@example.com"}]}, "ReplyTo[0].Name"),
        (lambda text: {"To": [{"Address": f"a@example.com{text}"}]}, "To[0].Address"),
        (lambda text: {"Headers": {"X-Own": text}}, "Headers"),
        (lambda text: {"Headers": {f"X-{text}": "v"}}, "Headers"),
        (lambda text: {"MessageId": f"<{text}@example.com>"}, "MessageId"),
        (lambda text: {"Attachments": [{"Path": "/a", "Name": text}]}, "Attachments[0].Name"),
        (lambda text: {"Attachments": [{"Path": "/a", "ContentId": text}]}, "Attachments[0].ContentId"),
        (lambda text: {"Attachments": [{"Path": "/a", "ContentType": text}]}, "Attachments[0].ContentType"),
    ],
)
def test_no_control_character_gets_into_anything_like_a_header(properties: Any, where: str, text: str) -> None:
    """Header injection ends here, whatever the line end and wherever it is tried."""
    error = refused(**properties(text))

    assert error.facts["property"] == where
    assert error.error_code in {1000, 1300}


def test_text_that_only_looks_dangerous_passes() -> None:
    """Tabs, encoded words and other scripts are text, to be encoded later; a body may have any line ends."""
    message = EmailMessage.accept(
        message_with(Subject="a\tb =?utf-8?q?=0ABcc:?= 日本", Body="a\r\n.\r\nb\nc\rd\0", Headers={"X-Own": "=?x?="})
    )

    assert message.subject == "a\tb =?utf-8?q?=0ABcc:?= 日本"


@pytest.mark.parametrize("name", sorted(ALLOWED_HEADERS | {"X-Own", "x-a_b.c", "List-Unsubscribe"}))
def test_allowed_headers(name: str) -> None:
    """What changes neither recipients nor encoding may be added, in any case."""
    assert EmailMessage.accept(message_with(Headers={name: "value"})).headers == {name: "value"}


@pytest.mark.parametrize(
    "name",
    [
        "To",
        "Cc",
        "Bcc",
        "bCC",
        "From",
        "Sender",
        "Reply-To",
        "Subject",
        "Date",
        "Message-ID",
        "MIME-Version",
        "Received",
        "Content-Type",
        "content-transfer-encoding",
        "Content-Disposition",
        "Return-Path",
        "DKIM-Signature",
        "Resent-To",
        "X-Priority",
        "x-msmail-priority",
        "Priority",
        "Importance",
        "",
        "X",
        "X-a b",
        "X-ü",
        "X-a:b",
        "X-" + "a" * 80,
    ],
)
def test_headers_that_are_not_the_callers(name: str) -> None:
    """What Postroom sets, what names recipients, and what is no header name at all is refused."""
    error = refused(Headers={name: "value"})

    assert (type(error), error.reason, error.facts["property"]) == (ArgumentException, "header_not_allowed", "Headers")


def test_a_refused_header_is_named() -> None:
    """A caller with ten headers learns which one; what is no header name could be anything and is not shown."""
    assert "Bcc is set by Postroom or not allowed." in str(refused(Headers={"X-A": "a", "Bcc": "b"}))
    assert "canary" not in str(refused(Headers={"canary@example.com": "a"}))
    assert "canary" not in str(refused(Headers={"canary@example.com": 5}))


@pytest.mark.parametrize("headers", [None, {}])
def test_no_headers(headers: object) -> None:
    """Null means none."""
    assert EmailMessage.accept(message_with(Headers=headers)).headers == {}


def test_a_header_may_not_be_there_twice() -> None:
    """Names are one whatever their case."""
    assert refused(Headers={"X-A": "a", "x-a": "b"}).reason == "conflict"


def recipients(count: int) -> list[str]:
    """So many different addresses."""
    return [f"r{number}@example.com" for number in range(count)]


@pytest.mark.parametrize(
    ("at_most", "over", "where", "reason"),
    [
        (
            {"Subject": "x" * MOST_SUBJECT_CHARACTERS},
            {"Subject": "x" * (MOST_SUBJECT_CHARACTERS + 1)},
            "Subject",
            "too_long",
        ),
        (
            {"To": recipients(MOST_RECIPIENTS)},
            {"To": recipients(MOST_RECIPIENTS), "Bcc": ["x@example.com"]},
            "To",
            "too_many",
        ),
        ({"To": ["a@example.com"] * (MOST_RECIPIENTS + 5)}, {"Cc": recipients(MOST_RECIPIENTS)}, "To", "too_many"),
        (
            {"Attachments": ["/a"] * MOST_ATTACHMENTS},
            {"Attachments": ["/a"] * (MOST_ATTACHMENTS + 1)},
            "Attachments",
            "too_many",
        ),
        (
            {"Headers": {f"X-{number}": "v" for number in range(MOST_HEADERS)}},
            {"Headers": {f"X-{number}": "v" for number in range(MOST_HEADERS + 1)}},
            "Headers",
            "too_many",
        ),
        (
            {"Headers": {"X-A": "x" * MOST_HEADER_CHARACTERS}},
            {"Headers": {"X-A": "x" * (MOST_HEADER_CHARACTERS + 1)}},
            "Headers",
            "too_long",
        ),
    ],
)
def test_caps(at_most: dict[str, Any], over: dict[str, Any], where: str, reason: str) -> None:
    """At the cap a message passes; one over it is refused, with the cap among the facts."""
    EmailMessage.accept(message_with(**at_most))
    error = refused(**over)

    assert (type(error), error.reason, error.facts["property"]) == (ArgumentException, reason, where)
    assert error.facts["limit"] > 0


@pytest.mark.parametrize("name", ["Body", "HtmlBody"])
def test_bodies_are_capped_in_bytes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cap counts UTF-8 bytes, as a server would."""
    monkeypatch.setattr(module, "MOST_BODY_BYTES", 20)
    EmailMessage.accept(message_with(**{name: "ü" * 10}))
    error = refused(**{name: "ü" * 10 + "x"})

    assert (type(error), error.error_code, error.facts["limit"]) == (SmtpCommandException, 1302, 20)


def test_attachments_are_capped_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two contents that fit alone and not together are too large."""
    monkeypatch.setattr(module, "MOST_ATTACHMENT_BYTES", 10)
    half = {"Content": b"12345", "Name": "a"}
    EmailMessage.accept(message_with(Attachments=[half, half]))
    error = refused(Attachments=[half, half, half])

    assert (type(error), error.error_code, error.reason) == (SmtpCommandException, 1302, "too_large")


def test_a_body_must_be_writable() -> None:
    """A lone surrogate has no UTF-8 form and would fail in the worker."""
    assert refused(Body="a\ud800").reason == "control_characters"


def test_html_beside_text() -> None:
    """`html_body` makes both bodies; with an HTML `body` it is a contradiction."""
    both = EmailMessage.accept(message_with(Body="plain", HtmlBody="<p>rich"))
    html = EmailMessage.accept(message_with(Body="<p>rich", BodyFormat="Html"))

    assert (both.text, both.html) == ("plain", "<p>rich")
    assert (html.text, html.html) == (None, "<p>rich")
    assert refused(BodyFormat="Html", HtmlBody="<p>").facts["property"] == "HtmlBody"


@pytest.mark.parametrize("message_id", ["<a@b>", "<1.2$x@[192.0.2.1]>", "<a@[IPv6:2001:db8::1]>"])
def test_message_ids(message_id: str) -> None:
    """The form of RFC 5322 is kept as it is."""
    assert EmailMessage.accept(message_with(MessageId=message_id)).message_id == message_id


@pytest.mark.parametrize("message_id", ["", "a@b", "<a>", "<a@b", "<a b@c>", "<@b>", "<a@b> <c@d>", f"<{'a' * 300}@b>"])
def test_other_message_ids_are_refused(message_id: str) -> None:
    """Anything else could break the header or the thread."""
    assert refused(MessageId=message_id).facts["property"] == "MessageId"


def test_recipients_are_told_once_in_order() -> None:
    """The envelope has each wire address once: To, then Cc, then Bcc."""
    message = EmailMessage.accept(
        message_with(
            To=["a@münchen.de", "b@example.com"], Cc=["b@example.com", "c@example.com"], Bcc=["a@xn--mnchen-3ya.de"]
        )
    )

    assert message.recipients == ("a@xn--mnchen-3ya.de", "b@example.com", "c@example.com")


def test_bounces_go_to_the_sender_unless_told_otherwise() -> None:
    """`envelope_from` replaces From in MAIL FROM only."""
    assert EmailMessage.accept(BLOCK_MESSAGE).sender.address == "sender@gmail.com"
    assert EmailMessage.accept(message_with(EnvelopeFrom=A)).sender.address == "a@example.com"


def test_all_mistakes_are_listed_and_the_first_property_decides() -> None:
    """One error tells everything; its type is that of the first property in the block's order."""
    error = refused(
        Attachments=[None, "", " a"],
        Subject="a\nb",
        Priority="High",
        From={"Address": "a b"},
        To=[{"Address": ""}],
        Zork=1,
    )

    assert type(error) is PropertyEmptyException
    assert [(m["property"], m["type"], m["error_code"], m["reason"]) for m in error.mistakes] == [
        ("To[0].Address", "PropertyEmptyException", 1003, None),
        ("From.Address", "SmtpCommandException", 1300, None),
        ("Priority", "ArgumentException", 1000, "unknown_value"),
        ("Subject", "ArgumentException", 1000, "control_characters"),
        ("Attachments[0].Path", "ArgumentNullException", 1001, None),
        ("Attachments[1].Path", "ArgumentException", 1000, "blank"),
        ("Attachments[2].Path", "IOException", 1103, "leading_spaces"),
        ("Zork", "ArgumentException", 1000, "unknown_property"),
    ]
    assert str(error).startswith("8 mistakes:\n- To[0].Address is required and is empty.\n- From.Address ")


def test_a_message_does_not_change() -> None:
    """Models are frozen: what was checked is what is sent."""
    message = EmailMessage.accept(BLOCK_MESSAGE)
    with pytest.raises(ValueError, match="frozen"):
        message.subject = "other"  # type: ignore[misc]
