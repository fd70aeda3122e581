"""The whole message: its fields, its shapes, and what a recipient reads in two independent mail programs."""

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom_contract.errors import ArgumentException
from postroom_worker.composer import compose
from tests.worker.composer.deliveries import (
    ACCEPTED_AT,
    DELIVERY_ID,
    body_text,
    composed,
    content_of,
    delivery_of,
    one_line,
)
from tests.worker.composer.readers import Reader, ReadFile, parse, read_with_stdlib

LOGO = {"name": "logo.png", "content": b"\x89PNG\r\n", "content_id": "logo@example.org"}
REPORT = {"name": "Отчёт за май.pdf", "content": bytes(range(256)) * 300}
NOTES = {"name": "notes.txt", "content": b"one\ntwo\r\n"}
HTML = '<h1>Grüße</h1><img src="cid:logo@example.org">'

GOLDEN = """\
Date: Sun, 22 Nov 2026 09:05:07 +0000
From: sender@example.org
To: Ann Lee <ann@example.com>
Subject: =?utf-8?b?R3LDvMOfZQ==?=
Message-ID: <3f0f3a52-52d0-4c07-9a3a-d34db33f0001@example.org>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="=_c62eedb50b6fb3682e21db16"

--=_c62eedb50b6fb3682e21db16
Content-Type: multipart/alternative; boundary="=_a4b18097115b88b4413fd705"

--=_a4b18097115b88b4413fd705
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 7bit

Hello

--=_a4b18097115b88b4413fd705
Content-Type: text/html; charset=utf-8
Content-Transfer-Encoding: 7bit

<p>Hello

--=_a4b18097115b88b4413fd705--
--=_c62eedb50b6fb3682e21db16
Content-Type: text/plain; name="_t_.txt"
Content-Transfer-Encoding: base64
Content-Disposition: attachment; filename*=utf-8''%C3%A9t%C3%A9.txt

b25lCg==
--=_c62eedb50b6fb3682e21db16--
"""


def shape(raw: bytes) -> Any:
    """The nesting of a mail's parts, as `("mixed", "plain", ...)`."""

    def below(part: Any) -> Any:
        name = part.get_content_subtype()
        return (name, *map(below, part.iter_parts())) if part.is_multipart() else name

    return below(parse(raw))


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ({}, "plain"),
        ({"body": "a"}, "plain"),
        ({"body": None, "body_format": "Html"}, "html"),
        ({"body": "<p>a", "body_format": "Html"}, "html"),
        ({"html_body": "<p>a"}, "html"),
        ({"html_body": ""}, "html"),
        ({"body": "a", "html_body": "<p>a"}, ("alternative", "plain", "html")),
        ({"body": HTML, "body_format": 1, "attachments": [LOGO]}, ("related", "html", "png")),
        ({"body": "a", "attachments": [LOGO]}, ("mixed", "plain", "png")),
        ({"body": "a", "attachments": [REPORT, NOTES]}, ("mixed", "plain", "pdf", "plain")),
        (
            {"body": "a", "html_body": HTML, "attachments": [REPORT, LOGO]},
            ("mixed", ("alternative", "plain", ("related", "html", "png")), "pdf"),
        ),
    ],
)
def test_shape_is_the_simplest_that_holds_everything(message: dict[str, Any], expected: Any) -> None:
    """No multipart without need; images stand beside their HTML, files behind all; each shape parses cleanly."""
    raw = composed(**message)

    assert shape(raw) == expected
    assert read_with_stdlib(raw).defects == []


def test_undisclosed_recipients_are_an_empty_group() -> None:
    """To names nobody and is there all the same, for mail filters distrust mail without it."""
    raw = composed(undisclosed=True, to=[], bcc=["hidden@example.com"])

    assert b"\r\nTo: undisclosed-recipients:;\r\n" in raw
    assert b"hidden" not in raw


def test_related_parts_say_which_of_them_is_the_page() -> None:
    """RFC 2387 requires the type of the part that a reader starts with."""
    mail = parse(composed(body=HTML, body_format="Html", attachments=[LOGO]))

    assert mail["Content-Type"].params["type"] == "text/html"


def test_everything_at_once_is_read_back(read: Reader) -> None:
    """Both programs show the same people, texts and files that went in."""
    mail = read(
        composed(
            from_={"name": "Анна, Ltd.", "address": "anna@example.org"},
            to=[{"name": 'O\'Neil "the pen", J.', "address": "o@example.com"}, "plain@example.com"],
            cc=[{"name": "漢字", "address": "cc@example.com"}],
            bcc=["hidden@example.com"],
            reply_to=[{"name": "Help", "address": "help@example.org"}],
            subject="Grüße 👩‍👩‍👧 " * 12,
            body="Guten Tag,\n\n.\nFrom here on: schöne Grüße\n",
            html_body=HTML,
            attachments=[REPORT, LOGO, NOTES],
        )
    )

    assert mail.sender == [("Анна, Ltd.", "anna@example.org")]
    assert mail.to == [('O\'Neil "the pen", J.', "o@example.com"), ("", "plain@example.com")]
    assert mail.cc == [("漢字", "cc@example.com")]
    assert mail.reply_to == [("Help", "help@example.org")]
    assert mail.subject.strip() == ("Grüße 👩‍👩‍👧 " * 12).strip()
    assert mail.text == "Guten Tag,\n\n.\nFrom here on: schöne Grüße"
    assert mail.html == HTML
    assert mail.files == [
        ReadFile("logo.png", "image/png", "inline", b"\x89PNG\r\n", content_id="logo@example.org"),
        ReadFile("Отчёт за май.pdf", "application/pdf", "attachment", bytes(range(256)) * 300),
        ReadFile("notes.txt", "text/plain", "attachment", b"one\ntwo\r\n"),
    ]
    assert mail.defects == []


def test_header_has_the_fields_it_should_and_no_others(read: Reader) -> None:
    """Each field once and in order; Bcc nowhere, neither as a field nor in the text."""
    raw = composed(
        cc="cc@example.com",
        bcc=["hidden@example.com", {"name": "Hidden Person", "address": "h2@example.com"}],
        reply_to="help@example.org",
        envelope_from="bounces@example.org",
        priority="Urgent",
        headers={"X-Campaign": "May", "List-Unsubscribe": "<https://example.com/u>"},
    )

    assert read(raw).header_names == [
        *("date", "from", "reply-to", "to", "cc", "subject", "message-id"),
        *("priority", "importance", "x-priority", "x-campaign", "list-unsubscribe"),
        *("mime-version", "content-type", "content-transfer-encoding"),
    ]
    assert not re.search(rb"bcc|hidden|h2@|bounces", raw, re.IGNORECASE)


@pytest.mark.parametrize(
    ("priority", "fields"),
    [
        ("Normal", {"Priority": None, "Importance": None, "X-Priority": None}),
        ("Urgent", {"Priority": "urgent", "Importance": "high", "X-Priority": "1 (Highest)"}),
        ("NonUrgent", {"Priority": "non-urgent", "Importance": "low", "X-Priority": "5 (Lowest)"}),
    ],
)
def test_priority_is_said_in_every_dialect(priority: str, fields: dict[str, str | None]) -> None:
    """The block's library writes the first field; mail programs look at one of the three."""
    mail = parse(composed(priority=priority))

    assert {name: mail[name] for name in fields} == fields


@pytest.mark.parametrize("subject", [None, ""])
def test_missing_subject_is_an_empty_field(read: Reader, subject: str | None) -> None:
    """The field is there all the same, as the block's library has it."""
    mail = read(composed(subject=subject, body=None))

    assert mail.subject == ""
    assert "subject" in mail.header_names


def test_empty_body_ends_with_the_header() -> None:
    """A null body is an empty one, and the last line is ended."""
    assert composed(body=None) == composed(body="")
    assert composed(body=None).endswith(b"Content-Transfer-Encoding: 7bit\r\n\r\n")


@pytest.mark.parametrize("east", [0, 5.5, -8])
def test_date_is_when_the_delivery_was_accepted(read: Reader, east: float) -> None:
    """The time of acceptance in UTC, written +0000, wherever the producer is."""
    delivery = delivery_of().model_copy(update={"accepted_at": ACCEPTED_AT.astimezone(timezone(timedelta(hours=east)))})

    raw = compose(delivery)

    assert b"\r\nDate: Sun, 22 Nov 2026 09:05:07 +0000\r\n" in b"\r\n" + raw
    assert read(raw).date == datetime(2026, 11, 22, 9, 5, 7, tzinfo=UTC)


def test_message_id_is_the_deliverys(read: Reader) -> None:
    """Made of the delivery's id and the sender's domain, or the caller's own."""
    assert read(composed(from_="ä@bücher.example")).message_id == f"<{DELIVERY_ID}@xn--bcher-kva.example>"
    assert read(composed(message_id="<own@example.com>")).message_id == "<own@example.com>"


def test_same_delivery_becomes_the_same_bytes() -> None:
    """A retry, in another process and days later, sends what the first attempt sent: down to the last octet."""
    raw = composed(
        to={"name": "Ann Lee", "address": "ann@example.com"},
        subject="Grüße",
        body="Hello",
        html_body="<p>Hello",
        attachments=[{"name": "été.txt", "content": b"one\n"}],
    )

    assert raw.decode().replace("\r\n", "\n") == GOLDEN


def test_boundaries_differ_between_deliveries() -> None:
    """A boundary is made of the delivery's id, which nobody knows who writes a body."""
    delivery = delivery_of(body="a", html_body="<p>b")
    other = delivery.model_copy(update={"id": "3f0f3a52-52d0-4c07-9a3a-d34db33f0002"})

    assert parse(compose(delivery)).get_boundary() != parse(compose(other)).get_boundary()


def test_body_that_quotes_the_boundary_changes_nothing() -> None:
    """Even the boundary itself, in plain text, a file or HTML, is text to the recipient."""
    message = {"body": "a", "html_body": "<p>b", "attachments": [NOTES]}
    quoted = "\n".join(re.findall(r"--=_\w+(?:--)?", composed(**message).decode()))
    assert quoted

    raw = composed(body=quoted, html_body=quoted, attachments=[{"name": "a.txt", "content": quoted.encode()}])

    mail = read_with_stdlib(raw)
    assert (mail.text, mail.html, mail.files[0].content) == (quoted, quoted, quoted.encode())


def test_content_must_match_the_attachments() -> None:
    """Contents missing or too many are a mistake of the caller, never a mail without its files."""
    with pytest.raises(ValueError, match="zip"):
        compose(delivery_of(attachments=[NOTES]), [])


@pytest.mark.parametrize("name", ["Comments", "organization", "Thread-Topic", "X-Own", "x-own"])
def test_free_text_headers_take_any_script(name: str) -> None:
    """The caller's free text is encoded where it must be."""
    mail = parse(composed(headers={name: "Grüße =?utf-8?q?=0ABcc:?="}))

    assert mail[name] == "Grüße =?utf-8?q?=0ABcc:?="


def test_structured_headers_take_tokens_only() -> None:
    """One-click unsubscription keeps its URL readable; a header that cannot be written is refused."""
    url = "https://example.com/unsubscribe/" + "0123456789" * 20
    headers = {"List-Unsubscribe": f"<{url}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}

    assert f"\r\nList-Unsubscribe: <{url}>\r\n".encode() in composed(headers=headers)
    with pytest.raises(ArgumentException):
        composed(headers={"References": "<ü@example.com>"})


@given(body=body_text(), html=body_text())
def test_bodies_are_read_back(read: Reader, body: str, html: str) -> None:
    """Text and HTML come back with plain newlines, whatever line ends, dots and control characters they had."""
    mail = read(composed(body=body, html_body=html))

    assert mail.text == _readable(body)
    # mailparser knows no empty HTML.
    assert (mail.html or "") == _readable(html)
    assert mail.defects == []


@given(data=st.data())
def test_wire_form_is_sound_whatever_the_fields_hold(data: st.DataObject) -> None:
    """ASCII, CRLF only, no line over 998 octets, the last line ended: nothing that a server must refuse."""
    name = one_line().map(lambda text: text[:300])
    raw = composed(
        from_={"name": data.draw(name), "address": "sender@example.org"},
        to=[{"name": data.draw(name), "address": "to@example.com"}],
        subject=data.draw(one_line(60)),
        headers={"X-Own": data.draw(one_line(60)), "Comments": data.draw(one_line(60))},
        body=data.draw(body_text()),
        html_body=data.draw(st.none() | body_text()),
        attachments=[{"name": f"a{data.draw(one_line(4))}"[:60], "content": data.draw(st.binary(max_size=300))}],
    )

    *lines, rest = raw.split(b"\r\n")
    assert raw.isascii()
    assert b"\0" not in raw
    assert rest == b""
    assert not any(b"\r" in line or b"\n" in line for line in lines)
    assert max(map(len, lines)) <= 998


def test_contents_are_those_given() -> None:
    """The composer takes files from its caller, in the order of the message's attachments."""
    delivery = delivery_of(attachments=[NOTES, REPORT])

    files = read_with_stdlib(compose(delivery, [b"first", b"second"])).files

    assert [file.content for file in files] == [b"first", b"second"]
    assert [content_of(attachment) for attachment in delivery.message.attachments] != [b"first", b"second"]


def _readable(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n")
