"""The whole message: which header fields it has and which shape its body takes.

Owns the order of the fields, the nesting of the parts, and the promise that every attempt of a delivery sends the same
bytes: date, Message-ID and boundaries come from the delivery, never from a clock or a die. Bcc is not read here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC
from email.utils import format_datetime
from hashlib import sha256

from postroom_contract.delivery import Delivery
from postroom_contract.headers import is_free_text
from postroom_contract.message import EmailMessageBodyFormat, EmailMessagePriority
from postroom_worker.composer.addresses import mailboxes
from postroom_worker.composer.fields import Field, structured, unstructured, write_block
from postroom_worker.composer.parts import Part, file_part, multipart, text_part

# No standard covers them all: RFC 2156 has the first two, and mail programs look at one each. Normal is said by silence.
_PRIORITY_FIELDS = {
    EmailMessagePriority.Normal: (),
    EmailMessagePriority.NonUrgent: (
        Field("Priority", ["non-urgent"]),
        Field("Importance", ["low"]),
        Field("X-Priority", ["5 (Lowest)"]),
    ),
    EmailMessagePriority.Urgent: (
        Field("Priority", ["urgent"]),
        Field("Importance", ["high"]),
        Field("X-Priority", ["1 (Highest)"]),
    ),
}


def compose(delivery: Delivery, contents: Sequence[bytes] = ()) -> bytes:
    """The message as it goes over the wire, less SMTP's dot-stuffing; ASCII unless an address needs SMTPUTF8.

    Args:
        delivery: whose message it is.
        contents: what each of the message's attachments holds, in their order.

    Raises:
        ArgumentException: a structured header of the caller's cannot be written.
    """
    root = _root(delivery, contents)
    head = write_block([*_header(delivery), Field("MIME-Version", ["1.0"]), *root.fields])
    ends_its_line = root.body[-1].endswith(b"\r\n") or not root.body[-1]
    return b"".join((head, b"\r\n", *root.body, b"" if ends_its_line else b"\r\n"))


def _header(delivery: Delivery) -> Iterator[Field]:
    message = delivery.message
    yield Field("Date", [format_datetime(delivery.accepted_at.astimezone(UTC))])
    yield mailboxes("From", [message.from_])
    if message.reply_to:
        yield mailboxes("Reply-To", message.reply_to)
    yield mailboxes("To", message.to)
    if message.cc:
        yield mailboxes("Cc", message.cc)
    # A null subject is written empty, as the block's mail library does: then the field is always there.
    yield unstructured("Subject", message.subject or "")
    yield structured("Message-ID", delivery.message_id, given_as="MessageId")
    yield from _PRIORITY_FIELDS[message.priority]
    for name, value in message.headers.items():
        yield unstructured(name, value) if is_free_text(name) else structured(name, value)


def _root(delivery: Delivery, contents: Sequence[bytes]) -> Part:
    """The body in its shape: a text, HTML with its images, or both as alternatives; the files behind all."""
    message, seed = delivery.message, delivery.id
    is_html = message.html is not None or message.body_format is EmailMessageBodyFormat.Html
    images: list[Part] = []
    files: list[Part] = []
    for attachment, content in zip(message.attachments, contents, strict=True):
        # An image that no HTML can show is a file like any other.
        is_inline = is_html and attachment.content_id is not None
        (images if is_inline else files).append(file_part(attachment, content, is_inline=is_inline))

    bodies = []
    if message.text is not None or not is_html:
        bodies.append(text_part("plain", message.text or ""))
    if is_html:
        bodies.append(_with_images(text_part("html", message.html or ""), images, seed))
    body = bodies[0] if len(bodies) == 1 else multipart("alternative", _boundary(seed, "alternative"), bodies)
    return multipart("mixed", _boundary(seed, "mixed"), [body, *files]) if files else body


def _with_images(page: Part, images: Sequence[Part], seed: str) -> Part:
    """HTML together with the images it shows (RFC 2387)."""
    if not images:
        return page
    return multipart("related", _boundary(seed, "related"), [page, *images], 'type="text/html"')


def _boundary(seed: str, subtype: str) -> str:
    """A boundary that stays the same over all attempts; `=_` occurs in no encoded part (RFC 2045 section 6.7)."""
    return f"=_{sha256(f'{seed} {subtype}'.encode()).hexdigest()[:24]}"
