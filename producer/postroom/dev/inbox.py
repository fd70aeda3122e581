"""The development inbox: takes every mail on loopback, and shows it in a browser and to scripts.

Owns both servers. Mail ends here: nothing is sent on. The pages answer to this machine's own names alone, so that no page on the
web can have a browser read them (DNS rebinding), and what a mail's HTML may do is nothing: no script, no form, no request.
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from postroom.dev.pages import Mail, list_page, mail_page
from postroom.testing.ports import HOST
from postroom.testing.smtp_server import SmtpServer

# Ours: our own style, and the frame.
_PAGE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-src 'self'; base-uri 'none'; form-action 'none'"
# A mail's: what it brings along itself.
_MAIL_POLICY = (
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
)


class Inbox:
    """A mail server, and a web server that shows what came. Ports may be 0: any."""

    def __init__(self, smtp_port: int = 0, web_port: int = 0) -> None:
        self._smtp = SmtpServer(port=smtp_port)
        self._web = ThreadingHTTPServer((HOST, web_port), type("Handler", (_Handler,), {"inbox": self}))
        self._web.daemon_threads = True

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
        """What has come so far."""
        return [
            Mail(number, record.sender, record.recipients, record.parsed(), record.data)
            for number, record in enumerate(self._smtp.messages, start=1)
        ]

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

    def do_GET(self) -> None:
        """Answer, to those who asked for this machine."""
        own = {f"{name}:{self.inbox.web_port}" for name in (HOST, "localhost")}
        if self.headers.get("Host") not in own:
            self._answer(421, "text/plain", b"This inbox answers to 127.0.0.1 and localhost only.\n")
            return
        try:
            self._show(self.path.split("?")[0].strip("/").split("/"))
        except (LookupError, ValueError):
            self._answer(404, "text/plain", b"There is no such mail.\n")

    def _show(self, path: list[str]) -> None:
        mails = self.inbox.mails
        match path:
            case [""]:
                self._page(list_page(mails))
            case ["api", "mails"]:
                self._answer(200, "application/json", json.dumps([mail.as_dict() for mail in mails]).encode())
            case ["mail", number]:
                self._page(mail_page(_nth(mails, number)))
            case ["mail", number, "html"]:
                html = _nth(mails, number).html or ""
                self._answer(200, "text/html; charset=utf-8", html.encode(), policy=_MAIL_POLICY)
            case ["mail", number, "raw"]:
                self._download(f"{number}.eml", _nth(mails, number).raw)
            case ["mail", number, "attachment", place]:
                _, content = _nth(mails, number).attachments[int(place)]
                # Not by its own name, which the mail has chosen.
                self._download(f"attachment-{int(place)}", content)
            case _:
                raise LookupError(path)

    def _page(self, html: str) -> None:
        self._answer(200, "text/html; charset=utf-8", html.encode())

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


def _nth(mails: list[Mail], number: str) -> Mail:
    if int(number) < 1:
        raise LookupError(number)
    return mails[int(number) - 1]
