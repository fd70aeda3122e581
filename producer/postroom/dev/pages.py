"""The inbox's pages: a list of mails, and each mail as its reader would see it.

Owns the HTML. What a mail holds is hostile until shown otherwise: all of it is escaped, and its own HTML is shown in a sandboxed
frame, from an answer with a policy of its own (`inbox`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from postroom.dev.mail import Mail

_HEADERS = ("From", "To", "Cc", "Reply-To", "Subject", "Date", "Message-ID")
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; width: 100%; } td, th { text-align: left; padding: .3rem .6rem; vertical-align: top; }
tr { border-bottom: 1px solid #ddd; } th { font-weight: 600; white-space: nowrap; } a { color: #0b5; }
pre { background: #f6f6f6; padding: 1rem; white-space: pre-wrap; } iframe { width: 100%; height: 30rem; border: 1px solid #ddd; }
.note { color: #777; }
"""


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
    reading = mail.reading
    headers = [(name, reading.header(name)) for name in _HEADERS if reading.header(name)]
    rows = [*headers, ("Envelope", f"{mail.sender} → {', '.join(mail.recipients)}")]
    links = [f'<a href="/mail/{mail.number}/raw">as it came (.eml)</a>']
    links += [
        f'<a href="/mail/{mail.number}/attachment/{place}">{escape(one.name)}</a> ({len(one.content)} bytes)'
        for place, one in enumerate(reading.enclosures)
    ]
    trouble = f'<p class="note">{escape(reading.trouble)}</p>' if reading.trouble is not None else ""
    text = f"<h2>Text</h2><pre>{escape(reading.text)}</pre>" if reading.text is not None else ""
    frame = f'<h2>HTML</h2><iframe sandbox src="/mail/{mail.number}/html"></iframe>' if reading.html is not None else ""
    every = f"<details><summary>All headers</summary>{_table(reading.headers)}</details>"
    body = f'<p><a href="/">Inbox</a></p><h1>{escape(mail.subject)}</h1>{_table(rows)}<p>{" · ".join(links)}</p>'
    return _page(mail.subject, body + trouble + text + frame + every)


def _table(rows: Iterable[tuple[str, str]]) -> str:
    return (
        f"<table>{''.join(f'<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>' for name, value in rows)}</table>"
    )


def _page(title: str, body: str, *, refresh: bool = False) -> str:
    meta = '<meta http-equiv="refresh" content="2">' if refresh else ""
    head = f'<meta charset="utf-8"><title>{escape(title)} · Postroom</title>{meta}<style>{_STYLE}</style>'
    return f"<!doctype html><html lang=en><head>{head}</head><body>{body}</body></html>"
