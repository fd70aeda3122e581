"""Every example of the block, from a file through `postroom send --wait` to the server's own copy.

The payloads are the reference's; only host, port, password and file paths are replaced, as they must be to run.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from postroom.testing import MessageRecord, SmtpServer
from tests.support.payloads import BLOCK_MESSAGE
from tests.support.post import PASSWORD, USERNAME, Post

SMALL_FILE = b"id,name\r\n1,Ann\r\n"
# Every byte there is, several times over, with what SMTP and MIME might stumble over.
BINARY_FILE = bytes(range(256)) * 40 + b"\r\n.\r\n\x00\xff"


def address(name: str) -> dict[str, str | None]:
    """An EmailAddress as the block writes it."""
    return {"Name": None, "Address": name}


def example(**changes: Any) -> dict[str, Any]:
    """The reference's first payload, verbatim, with what an example changes in it."""
    return BLOCK_MESSAGE | changes


THREE = [address(f"recipient{number}@outlook.com") for number in (1, 2, 3)]
EXAMPLES: dict[str, dict[str, Any]] = {
    "one recipient": example(),
    "three recipients": example(To=THREE),
    "one Cc and one Bcc": example(Cc=[address("cc@outlook.com")], Bcc=[address("bcc@outlook.com")]),
    "several Cc and several Bcc": example(
        Cc=[address("cc1@outlook.com"), address("cc2@outlook.com")],
        Bcc=[address("bcc1@outlook.com"), address("bcc2@outlook.com")],
    ),
    "urgent as a number": example(Priority=2),
    "urgent by name": example(Priority="Urgent"),
    "urgent by full name": example(Priority="EmailMessagePriority.Urgent"),
    "not urgent": example(Priority="NonUrgent"),
    "HTML body": example(BodyFormat="EmailMessageBodyFormat.Html", Body="<h1>Example email body</h1>"),
    "nulls wherever they are allowed": example(Cc=None, Bcc=None, Subject=None, Body=None, Attachments=None),
    "one attachment": example(Attachments=["table.csv"]),
    "two attachments": example(Attachments=["table.csv", "scan.bin"]),
}


@pytest.fixture(params=["implicit TLS", "STARTTLS"])
def server(request: pytest.FixtureRequest) -> SmtpServer:
    """Each example runs against both kinds of server."""
    fixture = "tls_server" if request.param == "implicit TLS" else "starttls_server"
    chosen: SmtpServer = request.getfixturevalue(fixture)
    return chosen


def test_every_example_arrives(post: Post, server: SmtpServer, tmp_path: Path) -> None:
    """Envelope, headers, priority, body and attachments of the server's copy are what was asked for."""
    (post.attachments / "table.csv").write_bytes(SMALL_FILE)
    (post.attachments / "scan.bin").write_bytes(BINARY_FILE)
    use_ssl = server._settings.tls == "implicit"
    with post.worker():
        for name, message in EXAMPLES.items():
            asked = in_the_attachments_folder(message, post)
            file = tmp_path / "example.json"
            file.write_text(json.dumps(request_for(post, server, asked, use_ssl=use_ssl)))
            sent = post.run("send", str(file), "--wait", "30")

            assert sent.exit_code == 0, (name, sent)
            assert sent.answer["state"] == "sent", name
            check_copy(asked, server.messages[-1], sent.answer)
    assert len(server.messages) == len(EXAMPLES)


def request_for(post: Post, server: SmtpServer, message: dict[str, Any], *, use_ssl: bool) -> dict[str, Any]:
    """What the block takes: a message, session details, and whether to close the session."""
    password = post.encrypt(PASSWORD, server.port, use_ssl=use_ssl, username=USERNAME)
    return {
        "EmailMessage": message,
        "BasicEmailSessionDetails": {
            "ServerDetails": {"Host": "localhost", "Port": server.port, "UseSsl": use_ssl},
            "Credentials": {"Domain": None, "Username": USERNAME, "Password": password.token},
        },
        "CloseSession": None,
    }


def in_the_attachments_folder(message: dict[str, Any], post: Post) -> dict[str, Any]:
    """The payload with the paths that its files have in this test."""
    files = message["Attachments"]
    return message | {"Attachments": files and [str(post.attachments / file) for file in files]}


def check_copy(asked: dict[str, Any], copy: MessageRecord, answer: dict[str, Any]) -> None:
    """Compare the server's copy with the payload, field by field."""
    parsed = copy.parsed()
    fields = {field: [entry["Address"] for entry in asked[field] or []] for field in ("To", "Cc", "Bcc")}

    assert list(copy.recipients) == [*fields["To"], *fields["Cc"], *fields["Bcc"]]
    assert copy.sender == "sender@gmail.com"
    assert answer["accepted"] == list(copy.recipients)
    assert answer["message_id"] == parsed["Message-ID"]
    for field in ("To", "Cc"):
        shown = [str(entry.addr_spec) for entry in parsed[field].addresses] if parsed[field] else []
        assert shown == fields[field]
    assert parsed["Bcc"] is None
    assert not any(hidden.encode() in copy.data for hidden in fields["Bcc"])
    assert (parsed["Subject"] or "") == (asked["Subject"] or "")
    assert parsed["Priority"] == expected_priority(asked["Priority"])
    is_html = asked["BodyFormat"] is not None
    body = parsed.get_body()
    assert body is not None
    assert body.get_content_type() == ("text/html" if is_html else "text/plain")
    assert body.get_content().strip() == (asked["Body"] or "")
    files = {part.get_filename(): part.get_payload(decode=True) for part in parsed.iter_attachments()}
    assert files == {Path(path).name: Path(path).read_bytes() for path in asked["Attachments"] or []}


def expected_priority(asked: object) -> str | None:
    """The Priority header for what was asked; Normal has none."""
    if asked is None:
        return None
    return "non-urgent" if asked == "NonUrgent" else "urgent"
