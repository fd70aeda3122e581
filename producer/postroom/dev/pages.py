"""The inbox's pages: a list of mails, and each mail as its reader would see it.

Owns the HTML. What a mail holds is hostile until shown otherwise: all of it is escaped, and its own HTML is shown in a sandboxed
frame, from an answer with a policy of its own (`inbox_server`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from html import escape

_HEADERS = ("From", "To", "Cc", "Reply-To", "Subject", "Date", "Message-ID")
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; width: 100%; } td, th { text-align: left; padding: .3rem .6rem; vertical-align: top; }
tr { border-bottom: 1px solid #ddd; } th { font-weight: 600; white-space: nowrap; } a { color: #0b5; }
pre { background: #f6f6f6; padding: 1rem; white-space: pre-wrap; } iframe { width: 100%; height: 30rem; border: 1px solid #ddd; }
.note { color: #777; }
"""


@dataclass(frozen=True)
class Mail:
    """One mail in the inbox."""

    number: int
    sender: str
    # To whom it came, blind copies among them.
    recipients: Sequence[str]
    message: EmailMessage
    raw: bytes

    @property
    def subject(self) -> str:
        """Its subject, or a word in its place."""
        return str(self.message["Subject"] or "(no subject)")

    @property
    def text(self) -> str | None:
        """Its plain text."""
        part = self.message.get_body(("plain",))
        return None if part is None else str(part.get_content())

    @property
    def html(self) -> str | None:
        """Its HTML."""
        part = self.message.get_body(("html",))
        return None if part is None else str(part.get_content())

    @property
    def attachments(self) -> list[tuple[str, bytes]]:
        """Names and contents of what is attached."""
        parts = [part for part in self.message.walk() if part.get_filename()]
        return [(str(part.get_filename()), part.get_payload(decode=True) or b"") for part in parts]  # type: ignore[misc]

    def as_dict(self) -> dict[str, object]:
        """What scripts get."""
        return {
            "number": self.number,
            "from": self.sender,
            "recipients": list(self.recipients),
            "subject": self.subject,
            "text": self.text,
            "html": self.html,
            "attachments": [name for name, _ in self.attachments],
            "headers": {name: str(value) for name, value in self.message.items()},
        }


def list_page(mails: Sequence[Mail]) -> str:
    """All mails, the newest first."""
    rows = "".join(
        f'<tr><td>{mail.number}</td><td><a href="/mail/{mail.number}">{escape(mail.subject)}</a></td>'
        f"<td>{escape(', '.join(mail.recipients))}</td><td>{escape(mail.sender)}</td></tr>"
        for mail in reversed(mails)
    )
    table = f"<table><tr><th>#</th><th>Subject</th><th>To</th><th>From</th></tr>{rows}</table>"
    empty = '<p class="note">Nothing has come yet. This page looks again every two seconds.</p>'
    return _page("Inbox", f"<h1>Inbox</h1>{table if mails else empty}", refresh=True)


def mail_page(mail: Mail) -> str:
    """One mail."""
    headers = [(name, str(mail.message[name])) for name in _HEADERS if mail.message[name]]
    rows = [*headers, ("Envelope", f"{mail.sender} → {', '.join(mail.recipients)}")]
    table = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in rows)
    links = [f'<a href="/mail/{mail.number}/raw">as it came (.eml)</a>']
    links += [
        f'<a href="/mail/{mail.number}/attachment/{place}">{escape(name)}</a> ({len(content)} bytes)'
        for place, (name, content) in enumerate(mail.attachments)
    ]
    text = f"<h2>Text</h2><pre>{escape(mail.text)}</pre>" if mail.text is not None else ""
    frame = f'<h2>HTML</h2><iframe sandbox src="/mail/{mail.number}/html"></iframe>' if mail.html is not None else ""
    body = (
        f'<p><a href="/">Inbox</a></p><h1>{escape(mail.subject)}</h1><table>{table}</table><p>{" · ".join(links)}</p>'
    )
    return _page(mail.subject, body + text + frame)


def _page(title: str, body: str, *, refresh: bool = False) -> str:
    meta = '<meta http-equiv="refresh" content="2">' if refresh else ""
    head = f'<meta charset="utf-8"><title>{escape(title)} · Postroom</title>{meta}<style>{_STYLE}</style>'
    return f"<!doctype html><html lang=en><head>{head}</head><body>{body}</body></html>"
