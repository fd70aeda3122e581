"""What arrived: a server's copy of a message, read back and compared with what was asked for.

Owns the reading (with the standard library's parser, not our composer) and the comparison. It knows nothing of outcomes;
`row` puts both together.
"""

import reprlib
from dataclasses import dataclass
from email.message import EmailMessage as ParsedMessage
from typing import Any

from postroom.demo.examples import ATTACHMENTS, Place
from postroom.testing.smtp_record import MessageRecord
from postroom_contract.message import EmailMessage, EmailMessageBodyFormat, EmailMessagePriority

# RFC 2156's header values; a normal message bears none.
PRIORITY_HEADERS = {
    EmailMessagePriority.Normal: "",
    EmailMessagePriority.NonUrgent: "non-urgent",
    EmailMessagePriority.Urgent: "urgent",
}
CONTENT_TYPES = {EmailMessageBodyFormat.Text: "text/plain", EmailMessageBodyFormat.Html: "text/html"}


@dataclass(frozen=True)
class Copy:
    """One message as a server got it."""

    place: Place
    connection: int
    tls_version: str | None
    record: MessageRecord

    @property
    def parsed(self) -> ParsedMessage:
        """The message as another program reads it."""
        return self.record.parsed()

    @property
    def message_id(self) -> str:
        """The Message-ID header, in which the delivery's id stands."""
        return str(self.parsed.get("Message-ID", ""))

    @property
    def priority(self) -> str:
        """The Priority header, or nothing."""
        return str(self.parsed.get("Priority", ""))

    @property
    def shown(self) -> set[str]:
        """The addresses that its readers see."""
        return {*addresses(self.parsed, "To"), *addresses(self.parsed, "Cc")}

    @property
    def hidden(self) -> list[str]:
        """The recipients whom no header names."""
        return [recipient for recipient in self.record.recipients if recipient not in self.shown]

    @property
    def body(self) -> tuple[str, str]:
        """Content type and text of the body, without the line end that closes it."""
        part = self.parsed.get_body(("html", "plain"))
        if part is None:
            return "", ""
        return part.get_content_type(), str(part.get_content()).replace("\r\n", "\n").removesuffix("\n")

    @property
    def files(self) -> dict[str, bytes]:
        """The attachments by name."""
        return {
            part.get_filename() or "": part.get_payload(decode=True)  # type: ignore[misc]  # bytes, when decoded
            for part in self.parsed.iter_attachments()
        }

    @property
    def unchanged_files(self) -> list[str]:
        """The names of those that are equal to what was attached, octet for octet."""
        return [name for name, content in self.files.items() if ATTACHMENTS.get(name) == content]

    def as_dict(self) -> dict[str, Any]:
        """The copy as JSON."""
        content_type, body = self.body
        return {
            "place": self.place.value,
            "connection": self.connection,
            "tls_version": self.tls_version,
            "sender": self.record.sender,
            "recipients": list(self.record.recipients),
            "hidden_recipients": self.hidden,
            "priority": self.priority or "normal",
            "content_type": content_type,
            "body": body,
            "attachments": [
                {"name": name, "octets": len(content), "unchanged": name in self.unchanged_files}
                for name, content in self.files.items()
            ],
        }


def differences(copy: Copy, asked: EmailMessage) -> list[str]:
    """Every way in which a copy is not what was asked for."""
    parsed = copy.parsed
    bcc = {address.wire for address in asked.bcc}
    compared = {
        "envelope sender": (copy.record.sender, asked.sender.wire),
        "envelope recipients": (sorted(copy.record.recipients), sorted(asked.recipients)),
        "From": (addresses(parsed, "From"), [asked.from_.wire]),
        "To": (addresses(parsed, "To"), [address.wire for address in asked.to]),
        "Cc": (addresses(parsed, "Cc"), [address.wire for address in asked.cc]),
        "Bcc in the message": (sorted(hidden for hidden in bcc if hidden.encode() in copy.record.data), []),
        "Subject": (parsed.get("Subject"), asked.subject),
        "Priority": (copy.priority, PRIORITY_HEADERS[asked.priority]),
        "body": (copy.body, (CONTENT_TYPES[asked.body_format], asked.body)),
        "attachments": (copy.files, {file.file_name: ATTACHMENTS[file.file_name] for file in asked.attachments}),
        "TLS": (copy.tls_version is not None, True),
    }
    return [
        f"{what}: {reprlib.repr(arrived)} instead of {reprlib.repr(wanted)}"
        for what, (arrived, wanted) in compared.items()
        if arrived != wanted
    ]


def addresses(parsed: ParsedMessage, header: str) -> list[str]:
    """The addresses in a header."""
    value = parsed.get(header)
    return [] if value is None else [address.addr_spec for address in value.addresses]
