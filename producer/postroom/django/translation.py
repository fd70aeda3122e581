"""Django's `EmailMessage`, put into Postroom's words, or refused.

Owns the translation and the list of what Postroom cannot say: nothing is left out in silence. Whether the result is a good
message is the contract's business; where it is sent, and when, is the backend's.
"""

from __future__ import annotations

import mimetypes
from email import policy
from email.errors import InvalidHeaderDefect
from email.message import Message
from typing import Any, TypeAlias

from django.core.mail import EmailMessage as DjangoMessage
from django.core.mail.message import BadHeaderError

from postroom_contract.error_codes import ErrorCode
from postroom_contract.errors import ArgumentException
from postroom_contract.message import EmailMessage, EmailMessageBodyFormat, EmailMessagePriority

Mailbox: TypeAlias = dict[str, str | None]

# Headers that are fields of their own here.
_FIELDS = frozenset({"from", "to", "cc", "reply-to", "message-id", "x-priority"})
# The five steps of X-Priority, as mail programs have used them since Eudora.
_PRIORITIES = {
    "1": EmailMessagePriority.Urgent,
    "2": EmailMessagePriority.Urgent,
    "3": EmailMessagePriority.Normal,
    "4": EmailMessagePriority.NonUrgent,
    "5": EmailMessagePriority.NonUrgent,
}
# What only a text has that says more than an address (RFC 5322 section 3.4).
_MORE_THAN_AN_ADDRESS = frozenset('<>",:;()')
# Parameters of Content-Type that only tell what the file's name or bytes tell too.
_NEEDLESS_PARAMETERS = frozenset({"name", "charset"})


def translate(message: DjangoMessage, **more: Any) -> EmailMessage:
    """The message, frozen: what the application does with its own afterwards changes nothing.

    Args:
        message: what Django's `send_messages` was given.
        more: fields of `postroom.EmailMessage` that Django has no word for.

    Raises:
        BadHeaderError: a line break in a header, as Django's own backends refuse it.
        PostroomError: the message asks for what Postroom does not do, or is no good message.
    """
    if type(message).message.__module__ != DjangoMessage.message.__module__:
        raise _refused("message()", "is overridden: Postroom composes the mail itself, and would lose what it does")
    headers = {str(name): str(value) for name, value in message.extra_headers.items()}
    _refuse_line_breaks(message, headers)
    own = {name.lower(): value for name, value in headers.items() if name.lower() in _FIELDS}
    fields: dict[str, Any] = {
        **_recipients(message, own),
        "from_": _mailbox(own.get("from") or message.from_email),
        "subject": str(message.subject),
        "headers": {name: value for name, value in headers.items() if name.lower() not in _FIELDS},
        "message_id": own.get("message-id"),
        "attachments": [_attachment(each) for each in message.attachments],
        **_bodies(message),
    }
    if "from" in own:
        fields["envelope_from"] = _mailbox(message.from_email) | {"name": None}
    if "x-priority" in own:
        fields["priority"] = _priority(own["x-priority"])
    return EmailMessage.accept(fields | more)


def _refuse_line_breaks(message: DjangoMessage, headers: dict[str, str]) -> None:
    lists = {"To": message.to, "Cc": message.cc, "Bcc": message.bcc, "Reply-To": message.reply_to}
    values = [(name, str(value)) for name, listed in lists.items() for value in listed]
    values += [("Subject", str(message.subject)), ("From", str(message.from_email)), *headers.items()]
    for name, value in values:
        if "\n" in value or "\r" in value:
            # Django quotes the value here, which may be a person's.
            raise BadHeaderError(f"{name if name.isprintable() else 'A header'} holds a line break")


def _recipients(message: DjangoMessage, own: dict[str, str]) -> dict[str, Any]:
    shown = [each for each in (*message.to, *message.cc, *message.bcc) if each]
    # A subclass may have recipients of its own: they are sent to, and shown to nobody.
    told = message.recipients()
    if any(each not in told for each in shown):
        raise _refused("recipients()", "leaves out somebody whom To, Cc or Bcc names")
    for name, listed in (("to", message.to), ("cc", message.cc)):
        if name in own and _parse(own[name]) != [_mailbox(each) for each in listed if each]:
            raise _refused(f"Headers[{name.title()}]", "differs from those the message goes to, whom Postroom shows")
    hidden = [*message.bcc, *(each for each in told if each not in shown)]
    reply_to = [_mailbox(each) for each in message.reply_to if each]
    to = [_mailbox(each) for each in message.to if each]
    return {
        "to": to,
        # Django sends to hidden recipients alone without a word.
        "undisclosed": not to,
        "cc": [_mailbox(each) for each in message.cc if each],
        "bcc": [_mailbox(each) for each in hidden if each],
        "reply_to": _parse(own["reply-to"]) if "reply-to" in own else reply_to,
    }


def _mailbox(text: object) -> Mailbox:
    """The one mailbox in a text; where there are several, or none, the contract is left to refuse it."""
    found = _parse(str(text))
    return found[0] if len(found) == 1 else {"name": None, "address": str(text)}


def _parse(text: str) -> list[Mailbox]:
    """The mailboxes in a header's text, or the text itself where it cannot be read without guessing."""
    if any(character in text for character in _MORE_THAN_AN_ADDRESS):
        header = policy.default.header_factory("To", text)
        # Of a text with this defect the parser gives the piece that it could read, perhaps another address.
        if not any(isinstance(defect, InvalidHeaderDefect) for defect in header.defects):
            return [{"name": each.display_name or None, "address": each.addr_spec} for each in header.addresses]
    return [{"name": None, "address": text.strip()}]


def _priority(value: str) -> EmailMessagePriority:
    priority = _PRIORITIES.get(value.strip()[:1])
    if priority is None:
        raise _refused("Headers[X-Priority]", "is a number from 1 to 5")
    return priority


def _bodies(message: DjangoMessage) -> dict[str, Any]:
    body, alternatives = str(message.body), list(getattr(message, "alternatives", ()))
    if message.content_subtype not in {"plain", "html"}:
        raise _refused("content_subtype", "is plain or html")
    is_html = message.content_subtype == "html"
    if not alternatives:
        return {"body": body, "body_format": EmailMessageBodyFormat(int(is_html))}
    if is_html or len(alternatives) > 1 or alternatives[0][1] != "text/html":
        raise _refused("alternatives", "may hold one text/html beside a plain body, and nothing else")
    html = str(alternatives[0][0])
    if not body:
        return {"body": html, "body_format": EmailMessageBodyFormat.Html}
    return {"body": body, "html_body": html}


def _attachment(given: Any) -> dict[str, Any]:
    if isinstance(given, Message):
        return _part(given)
    name, content, media_type = given
    return {
        "name": name or _made_up_name(media_type),
        "content": _octets(content),
        "content_type": media_type,
    }


def _part(part: Message) -> dict[str, Any]:
    """A finished MIME part: its bytes, its name, and the content id by which HTML shows it."""
    media_type = part.get_content_type()
    if part.is_multipart() and media_type != "message/rfc822":
        raise _refused("attachments", "holds a part made of parts")
    parameters = {name.lower() for name, _ in (part.get_params() or [])[1:]}
    if parameters - _NEEDLESS_PARAMETERS:
        raise _refused("attachments", "holds a part whose Content-Type has parameters besides charset and name")
    inner = part.get_payload(0) if part.is_multipart() else None
    content = inner.as_bytes() if isinstance(inner, Message) else part.get_payload(decode=True)
    content_id = str(part["Content-ID"]).strip().removeprefix("<").removesuffix(">") if part["Content-ID"] else None
    return {
        "name": part.get_filename() or (None if content_id else _made_up_name(media_type)),
        "content": content,
        "content_type": media_type,
        "content_id": content_id,
    }


def _octets(content: Any) -> bytes:
    if isinstance(content, DjangoMessage):
        content = content.message()
    if isinstance(content, Message):
        return content.as_bytes()
    return content if isinstance(content, bytes) else str(content).encode()


def _made_up_name(media_type: str | None) -> str:
    """Django sends attachments without a name; mail programs then make one up, each its own."""
    return f"attachment{mimetypes.guess_extension(media_type or '') or ''}"


def _refused(what: str, why: str) -> ArgumentException:
    detail = f"It {why}."
    return ArgumentException(
        ErrorCode.INVALID_ARGUMENT, {"property": what, "reason": "unknown_value", "detail": detail}
    )
