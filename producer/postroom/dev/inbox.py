"""The development inbox: takes every mail on loopback, and shows it in a browser and to scripts.

Owns both servers. Mail ends here: nothing is sent on. The pages answer to this machine's own names alone, so that no page on the
web can have a browser read them (DNS rebinding), and what a mail's HTML may do is nothing: no script, no form, no request.
"""

from __future__ import annotations

import json
import threading
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from postroom.dev.mail import Mail
from postroom.dev.pages import list_page, mail_page
from postroom.testing.ports import HOST
from postroom.testing.smtp_server import EXTENSIONS, SmtpServer

# The inbox may be open for days: it keeps the newest, and no more than a machine has room for.
MOST_MAILS = 500
MOST_OCTETS = 200_000_000
# More than a worker ever sends: 25 MB of attachments, and a third more for their encoding.
_LARGEST_OCTETS = 50_000_000
_EXTENSIONS = (*(word for word in EXTENSIONS if not word.startswith("SIZE")), f"SIZE {_LARGEST_OCTETS}")
# Whoever connects and says nothing must not keep a thread for ever.
_REQUEST_TIMEOUT_S = 10

# Ours: our own style, and the frame.
_PAGE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-src 'self'; base-uri 'none'; form-action 'none'"
# A mail's: what it brings along itself.
_MAIL_POLICY = (
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
)


class Inbox:
    """A mail server, and a web server that shows what came. Ports may be 0: any."""

    def __init__(self, smtp_port: int = 0, web_port: int = 0) -> None:
        self._smtp = SmtpServer(port=smtp_port, extensions=_EXTENSIONS)
        self._web = ThreadingHTTPServer((HOST, web_port), type("Handler", (_Handler,), {"inbox": self}))
        self._web.daemon_threads = True
        self._kept: deque[Mail] = deque()
        self._octets = 0
        self._last_number = 0
        self._lock = threading.Lock()

    @property
    def smtp_port(self) -> int:
        """Where mail is taken."""
        return self._smtp.port

    @property
    def web_port(self) -> int:
        """Where it is shown."""
        return int(self._web.server_address[1])

    @property
    def mails(self) -> list[Mail]:
        """What has come so far, the newest last; the oldest go when there are too many."""
        with self._lock:
            self._take_in()
            return list(self._kept)

    def _take_in(self) -> None:
        for record in self._smtp.take_messages():
            self._last_number += 1
            self._kept.append(Mail(self._last_number, record.sender, record.recipients, record.data))
            self._octets += len(record.data)
        while len(self._kept) > MOST_MAILS or (self._octets > MOST_OCTETS and len(self._kept) > 1):
            self._octets -= len(self._kept.popleft().raw)

    def __enter__(self) -> Self:
        try:
            self._smtp.start()
        except BaseException:
            self._web.server_close()
            raise
        threading.Thread(target=self._web.serve_forever, name="inbox", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._web.shutdown()
        self._web.server_close()
        self._smtp.stop()


class _Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    inbox: Inbox
    timeout = _REQUEST_TIMEOUT_S
    server_version = "Postroom"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer, to those who asked for this machine."""
        own = {f"{name}:{self.inbox.web_port}" for name in (HOST, "localhost")}
        if self.headers.get("Host") not in own:
            self._answer(421, "text/plain", b"This inbox answers to 127.0.0.1 and localhost only.\n")
            return
        try:
            self._show(self.path.split("?")[0].strip("/").split("/"))
        except LookupError:
            self._answer(404, "text/plain", b"There is no such mail.\n")

    def _show(self, path: list[str]) -> None:
        mails = self.inbox.mails
        match path:
            case [""]:
                self._page(list_page(mails))
            case ["api", "mails"]:
                self._answer(200, "application/json", json.dumps([mail.as_dict() for mail in mails]).encode())
            case ["mail", number]:
                self._page(mail_page(_find(mails, number)))
            case ["mail", number, "html"]:
                html = _find(mails, number).reading.html_with_pictures
                self._answer(200, "text/html; charset=utf-8", html.encode("utf-8", "replace"), policy=_MAIL_POLICY)
            case ["mail", number, "raw"]:
                self._download(f"{int(number)}.eml", _find(mails, number).raw)
            case ["mail", number, "attachment", place]:
                enclosures = _find(mails, number).reading.enclosures
                content = {str(at): one.content for at, one in enumerate(enclosures)}[place]
                # Not by its own name, which the mail has chosen.
                self._download(f"attachment-{int(place)}", content)
            case _:
                raise LookupError(path)

    def _page(self, html: str) -> None:
        self._answer(200, "text/html; charset=utf-8", html.encode("utf-8", "replace"))

    def _download(self, name: str, content: bytes) -> None:
        self._answer(200, "application/octet-stream", content, name=name)

    def _answer(
        self, status: int, kind: str, body: bytes, *, policy: str = _PAGE_POLICY, name: str | None = None
    ) -> None:
        self.send_response(status)
        headers = {
            "Content-Type": kind,
            "Content-Length": str(len(body)),
            "Content-Security-Policy": policy,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-store",
        }
        if name is not None:
            headers["Content-Disposition"] = f'attachment; filename="{name}"'
        for header, value in headers.items():
            self.send_header(header, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing: the terminal is for what matters."""


def _find(mails: list[Mail], number: str) -> Mail:
    return {str(mail.number): mail for mail in mails}[number]
