"""Django's messages in Postroom's words: nothing is lost on the way, or the message is refused."""

from __future__ import annotations

from email.message import MIMEPart
from email.mime.base import MIMEBase
from email.mime.image import MIMEImage
from email.mime.multipart import MIMEMultipart
from typing import Any

import pytest
from django.core.mail import EmailMessage, EmailMultiAlternatives
from django.core.mail.message import BadHeaderError
from django.utils.functional import lazystr

from postroom import EmailAddress, EmailMessagePriority, SmtpCommandException
from postroom.django.translation import translate
from postroom.errors import ArgumentException


def a_mail(**changes: Any) -> EmailMessage:
    """A mail of Django's with some things different."""
    fields: dict[str, Any] = {
        "subject": "Order",
        "body": "text",
        "from_email": "a@example.com",
        "to": ["b@example.com"],
    }
    return EmailMessage(**(fields | changes))


def as_pair(address: EmailAddress) -> tuple[str | None, str]:
    """Name and address."""
    return address.name, address.address


ADDRESSES = {
    "plain": ("ann@example.com", (None, "ann@example.com")),
    "blanks around": (" ann@example.com ", (None, "ann@example.com")),
    "in brackets": ("<ann@example.com>", (None, "ann@example.com")),
    "name": ("Ann Lee <ann@example.com>", ("Ann Lee", "ann@example.com")),
    "quoted name": ('"Lee, Ann" <ann@example.com>', ("Lee, Ann", "ann@example.com")),
    "international name": ("Jürgen Groß <j@example.com>", ("Jürgen Groß", "j@example.com")),
    "encoded name": ("=?utf-8?q?J=C3=BCrgen?= <j@example.com>", ("Jürgen", "j@example.com")),
    "dots in the name": ("Dr. J. Lee <j@example.com>", ("Dr. J. Lee", "j@example.com")),
    "international domain": ("Jürgen <j@münchen.de>", ("Jürgen", "j@münchen.de")),
    "quoted local part": ('"ann lee"@example.com', (None, '"ann lee"@example.com')),
}


@pytest.mark.parametrize(("text", "told"), ADDRESSES.values(), ids=ADDRESSES)
def test_addresses_keep_their_names(text: str, told: tuple[str | None, str]) -> None:
    """Each form that Django takes becomes name and address, wherever it stands."""
    message = translate(a_mail(from_email=text, to=[text], cc=[text], bcc=[text], reply_to=[text]))

    lists = (message.to, message.cc, message.bcc, message.reply_to, (message.from_,))
    assert {as_pair(address) for addresses in lists for address in addresses} == {told}


# The parser of the standard library reads a piece of most of these, some as another address.
@pytest.mark.parametrize(
    "text",
    [
        "Ann <ann@example.com>, Bob <bob@example.com>",
        "ann@example.com, bob@example.com",
        "me @ home <me@example.com>",
        "ann@example.com <ann@example.com>",
        "Ann <ann@example.com",
        "Ann [home] <ann@example.com>",
        "friends: ann@example.com, bob@example.com;",
        "Ann",
    ],
)
def test_what_is_not_one_address_is_refused(text: str) -> None:
    """A text that means several addresses, or half of one, is never guessed at."""
    with pytest.raises(SmtpCommandException, match=r"To\[0\].Address is not a mail address"):
        translate(a_mail(to=[text]))


def test_empty_entries_are_nobody() -> None:
    """Django skips empty recipients, and so does the translation."""
    message = translate(a_mail(to=["", "ann@example.com"], cc=[""], bcc=["", "bob@example.com"]))

    assert message.recipients == ("ann@example.com", "bob@example.com")


def test_lazy_texts_are_read() -> None:
    """Translated strings are taken when the mail is sent, in the language of that moment."""
    message = translate(a_mail(subject=lazystr("Bestellung"), body=lazystr("Unterwegs."), from_email=lazystr("a@b.de")))

    assert (message.subject, message.text, message.from_.address) == ("Bestellung", "Unterwegs.", "a@b.de")


# ---------------------------------------------------------------- bodies


def with_alternatives(*alternatives: tuple[str, str], body: str = "plain") -> EmailMultiAlternatives:
    """A mail with these beside its body."""
    message = EmailMultiAlternatives("Order", body, "a@example.com", ["b@example.com"])
    for content, media_type in alternatives:
        message.attach_alternative(content, media_type)
    return message


def test_the_bodies() -> None:
    """Plain, HTML alone by `content_subtype`, both, and HTML as the only alternative of an empty body."""
    alone = a_mail(body="<p>rich</p>")
    alone.content_subtype = "html"
    mails = [a_mail(), alone, with_alternatives(("<p>rich</p>", "text/html"))]
    mails.append(with_alternatives(("<p>rich</p>", "text/html"), body=""))

    assert [(message.text, message.html) for message in map(translate, mails)] == [
        ("text", None),
        (None, "<p>rich</p>"),
        ("plain", "<p>rich</p>"),
        (None, "<p>rich</p>"),
    ]


def test_other_alternatives_are_refused() -> None:
    """A calendar, a second HTML, a plain one beside HTML, and markdown have no place in a mail of Postroom's."""
    html_first = with_alternatives(("plain", "text/plain"))
    html_first.content_subtype = "html"
    markdown = a_mail()
    markdown.content_subtype = "markdown"
    twice = with_alternatives(("<p>1</p>", "text/html"), ("<p>2</p>", "text/html"))

    for message in (with_alternatives(("BEGIN", "text/calendar")), twice, html_first, markdown):
        with pytest.raises(ArgumentException, match=r"alternatives|content_subtype"):
            translate(message)


# ---------------------------------------------------------------- headers


def test_allowed_headers_pass() -> None:
    """List headers, references and X- fields are kept as they are."""
    headers = {"List-Unsubscribe": "<https://example.com/u>", "X-Order": "17", "References": "<1@example.com>"}

    assert translate(a_mail(headers=headers)).headers == headers


@pytest.mark.parametrize("name", ["Date", "Sender", "Return-Path", "Content-Type", "DKIM-Signature", "Bcc"])
def test_other_headers_are_refused_by_name(name: str) -> None:
    """A header that Postroom writes itself, or does not know, is an error that names it."""
    with pytest.raises(ArgumentException, match=f"{name} is set by Postroom or not allowed"):
        translate(a_mail(headers={name: "value"}))


def test_headers_that_are_fields() -> None:
    """Reply-To, Message-ID and From in `headers` win, as in Django; the envelope keeps `from_email`."""
    headers = {
        "reply-to": "Desk <desk@example.com>, boss@example.com",
        "Message-ID": "<17@example.com>",
        "From": "Shop <shop@example.com>",
    }
    message = translate(a_mail(headers=headers, from_email="Bounces <bounces@example.com>", reply_to=["x@example.com"]))

    assert [as_pair(each) for each in message.reply_to] == [("Desk", "desk@example.com"), (None, "boss@example.com")]
    assert message.message_id == "<17@example.com>"
    assert as_pair(message.from_) == ("Shop", "shop@example.com")
    assert message.sender.address == "bounces@example.com"
    assert message.headers == {}


def test_a_to_header_that_says_something_else_is_refused() -> None:
    """Postroom shows whom it sends to: a To or Cc header of its own passes only where it says the same."""
    same = translate(a_mail(to=["Ann <ann@example.com>"], headers={"To": "Ann <ann@example.com>"}))

    assert same.recipients == ("ann@example.com",)
    with pytest.raises(ArgumentException, match="differs from those the message goes to"):
        translate(a_mail(headers={"To": "list@example.com"}))


@pytest.mark.parametrize(
    ("value", "priority"),
    [
        ("1", EmailMessagePriority.Urgent),
        ("2 (High)", EmailMessagePriority.Urgent),
        ("3", EmailMessagePriority.Normal),
        ("5 (Lowest)", EmailMessagePriority.NonUrgent),
    ],
)
def test_x_priority_is_the_priority(value: str, priority: EmailMessagePriority) -> None:
    """The header that Django applications mark urgent mail with chooses the queue, too."""
    assert translate(a_mail(headers={"X-Priority": value})).priority is priority


def test_a_strange_x_priority_is_refused() -> None:
    """What is no number from 1 to 5 means nothing."""
    with pytest.raises(ArgumentException, match="X-Priority"):
        translate(a_mail(headers={"X-Priority": "high"}))


@pytest.mark.parametrize(
    "changes",
    [
        {"subject": "a\nb"},
        {"from_email": "a@example.com\rBcc: x@example.com"},
        {"to": ["b@example.com\n"]},
        {"cc": ["b@example.com\n"]},
        {"bcc": ["b@example.com\n"]},
        {"reply_to": ["b@example.com\n"]},
        {"headers": {"X-Order": "1\nX: 2"}},
    ],
    ids=str,
)
def test_line_breaks_are_bad_headers(changes: dict[str, Any]) -> None:
    """Wherever a line break would begin another header, Django's own error is raised."""
    with pytest.raises(BadHeaderError, match="holds a line break"):
        translate(a_mail(**changes))


# ---------------------------------------------------------------- attachments


def attached(message: EmailMessage) -> list[tuple[str | None, bytes | None, str | None, str | None]]:
    """What there is to know of each attachment."""
    return [(each.name, each.content, each.content_type, each.content_id) for each in translate(message).attachments]


def test_tuples_and_files(tmp_path: Any) -> None:
    """Bytes, text, and a file by its path: name, type and bytes arrive."""
    file = tmp_path / "photo.png"
    file.write_bytes(b"\x89PNG")
    message = a_mail(attachments=[("bill.pdf", b"%PDF", "application/pdf")])
    message.attach("notes.txt", "Grüße")
    message.attach_file(str(file))

    assert attached(message) == [
        ("bill.pdf", b"%PDF", "application/pdf", None),
        ("notes.txt", "Grüße".encode(), "text/plain", None),
        ("photo.png", b"\x89PNG", "image/png", None),
    ]


def test_an_attachment_without_a_name_gets_one() -> None:
    """Django attaches nameless content; here its type makes the name."""
    message = a_mail()
    message.attach(None, b"GIF89a", "image/gif")
    message.attach(None, b"?", "application/x-unheard-of")

    assert [name for name, *_ in attached(message)] == ["attachment.gif", "attachment"]


def test_an_inline_image_by_mime_part() -> None:
    """The usual recipe, a MIMEImage with a Content-ID, becomes an inline image."""
    image = MIMEImage(b"GIF89a", "gif")
    image.add_header("Content-ID", "<logo>")
    image.add_header("Content-Disposition", "inline", filename="logo.gif")
    modern = MIMEPart()
    modern.set_content(b"GIF89a", "image", "gif", cid="<logo>", filename="logo.gif", disposition="inline")

    for part in (image, modern):
        message = a_mail()
        message.attachments.append(part)
        assert attached(message) == [("logo.gif", b"GIF89a", "image/gif", "logo")]


def test_a_mail_as_an_attachment() -> None:
    """A forwarded message is attached whole."""
    message = a_mail()
    message.attach("forwarded.eml", a_mail(subject="Inner"), "message/rfc822")

    ((name, content, media_type, _),) = attached(message)
    assert (name, media_type) == ("forwarded.eml", "message/rfc822")
    assert content is not None
    assert b"Subject: Inner" in content


def test_parts_that_would_lose_something_are_refused() -> None:
    """A part made of parts, and an invitation whose method stands in a parameter."""
    invitation = MIMEBase("text", "calendar", method="REQUEST")
    invitation.set_payload("BEGIN:VCALENDAR")

    for part in (MIMEMultipart(), invitation):
        message = a_mail()
        message.attachments.append(part)
        with pytest.raises(ArgumentException, match="attachments"):
            translate(message)


# ---------------------------------------------------------------- subclasses


def test_recipients_of_a_subclass_s_own_are_hidden() -> None:
    """Whoever `recipients` adds gets the mail and is not shown; whoever it leaves out is an error."""

    class WithArchive(EmailMessage):
        def recipients(self) -> list[str]:
            return [*super().recipients(), "archive@example.com"]

    class ToNobody(EmailMessage):
        def recipients(self) -> list[str]:
            return ["archive@example.com"]

    message = translate(WithArchive("Order", "text", "a@example.com", ["ann@example.com"]))

    assert [address.address for address in message.bcc] == ["archive@example.com"]
    with pytest.raises(ArgumentException, match="leaves out"):
        translate(ToNobody("Order", "text", "a@example.com", ["ann@example.com"]))


def test_a_subclass_that_composes_itself_is_refused() -> None:
    """An own `message()` signs or encrypts, perhaps: what it makes would be lost."""

    class Signed(EmailMessage):
        def message(self, **arguments: Any) -> Any:
            return super().message(**arguments)

    with pytest.raises(ArgumentException, match=r"message\(\)"):
        translate(Signed("Order", "text", "a@example.com", ["ann@example.com"]))


def test_hidden_recipients_alone() -> None:
    """A mail with Bcc only goes out with nobody in To, as Django's users send their newsletters."""
    message = translate(a_mail(to=[], bcc=["ann@example.com", "bob@example.com"]))

    assert message.undisclosed
    assert (message.to, message.recipients) == ((), ("ann@example.com", "bob@example.com"))
