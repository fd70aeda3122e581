"""Every row of the block's error table, produced on real servers, through the command line and through Python.

A row says what is asked, and the type, category, code, reason, exit code and Python built-in that must come of it. All
rows of one way run at once: some are retried for a quarter of a minute before they fail.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from postroom import PostroomError
from postroom.testing import CertificateKit, SmtpServer, at, free_port
from tests.support.post import PASSWORD, USERNAME, Post
from tests.support.unprivileged import STARTER
from tests.support.valkey import ValkeyServer

REFUSED, FAILED, UNKNOWN = 65, 10, 12
# Commands run side by side; more would only wait for the two processors.
SIDE_BY_SIDE = 6


@dataclass(frozen=True)
class Row:
    """One row: changes to a good request, and what must come of it."""

    name: str
    kind: str
    code: int
    built_in: type[Exception]
    exit_code: int = FAILED
    category: str | None = None
    reason: str | None = None
    message: dict[str, Any] = field(default_factory=dict)
    session: dict[str, Any] = field(default_factory=dict)
    server: str = "good"


def refused(name: str, kind: str, code: int, built_in: type[Exception], **changes: Any) -> Row:
    """A row that the contract refuses before anything is queued."""
    return Row(name, kind, code, built_in, REFUSED, **changes)


def session_row(name: str, code: int, category: str, reason: str | None = None, **changes: Any) -> Row:
    """A row of `EmailSessionException`."""
    return Row(name, "EmailSessionException", code, ConnectionError, category=category, reason=reason, **changes)


def to(address: object) -> dict[str, Any]:
    """A message to one address."""
    return {"To": [{"Name": None, "Address": address}]}


BAD_INPUT = [
    refused("body format", "ArgumentException", 1000, ValueError, message={"BodyFormat": 7}),
    refused("priority", "ArgumentException", 1000, ValueError, message={"Priority": "Soon"}),
    refused("path empty", "ArgumentException", 1000, ValueError, message={"Attachments": [""]}),
    refused("path blank", "ArgumentException", 1000, ValueError, message={"Attachments": [" \t"]}),
    refused("path with NUL", "ArgumentException", 1000, ValueError, message={"Attachments": ["a\0b"]}),
    refused("path null", "ArgumentNullException", 1001, TypeError, message={"Attachments": [None]}),
    refused("path with leading space", "IOException", 1103, OSError, message={"Attachments": [" a.txt"]}),
    refused("path too long", "PathTooLongException", 1102, OSError, message={"Attachments": ["a/" * 3000]}),
    refused("session null", "PropertyNullException", 1002, ValueError, session={"BasicEmailSessionDetails": None}),
    refused("server null", "PropertyNullException", 1002, ValueError, session={"ServerDetails": None}),
    refused("credentials null", "PropertyNullException", 1002, ValueError, session={"Credentials": None}),
    refused("host null", "PropertyNullException", 1002, ValueError, session={"Host": None}),
    refused("message null", "PropertyNullException", 1002, ValueError, message={"EmailMessage": None}),
    refused("To null", "PropertyNullException", 1002, ValueError, message={"To": None}),
    refused("From null", "PropertyNullException", 1002, ValueError, message={"From": None}),
    refused("address null", "PropertyNullException", 1002, ValueError, message=to(None)),
    refused("host empty", "PropertyEmptyException", 1003, ValueError, session={"Host": ""}),
    refused("To empty", "PropertyEmptyException", 1003, ValueError, message={"To": []}),
    refused("address empty", "PropertyEmptyException", 1003, ValueError, message=to("")),
    refused("port 0", "PropertyValueOutOfRangeException", 1004, ValueError, session={"Port": 0}),
    refused("port 65536", "PropertyValueOutOfRangeException", 1004, ValueError, session={"Port": 65536}),
    refused("password clear", "UnencryptedTextException", 1005, ValueError, session={"Password": "correct horse"}),
    refused("address malformed", "SmtpCommandException", 1300, OSError, message=to("a b@example.com")),
]

SENDING = [
    Row("no such file", "FileNotFoundException", 1100, FileNotFoundError, message={"Attachments": ["none.txt"]}),
    Row(
        *("no permission", "UnauthorizedAccessException", 1101, PermissionError),
        reason="permission",
        message={"Attachments": ["closed.txt"]},
    ),
    Row(
        *("a folder", "UnauthorizedAccessException", 1101, PermissionError),
        reason="is_folder",
        message={"Attachments": ["folder"]},
    ),
    Row(
        *("outside the roots", "UnauthorizedAccessException", 1101, PermissionError),
        reason="outside_roots",
        message={"Attachments": ["/etc/hostname"]},
    ),
    session_row("nothing listens", 100, "Socket", "refused", server="closed"),
    session_row("no such host", 101, "Socket", session={"Host": "no-such-host.invalid"}),
    session_row("TLS wanted at once", 200, "SSL", session={"UseSsl": False}),
    session_row("no TLS at once", 201, "SSL", "tls_not_offered", server="starttls"),
    session_row("no STARTTLS", 201, "SSL", "starttls_not_offered", server="plain", session={"UseSsl": False}),
    session_row("certificate expired", 201, "SSL", "certificate_expired", server="expired"),
    session_row("certificate untrusted", 201, "SSL", "certificate_untrusted", server="stranger"),
    session_row("certificate of another host", 201, "SSL", "hostname_mismatch", server="other host"),
    session_row("wrong password", 300, "UserCredentials", session={"Password": "another"}),
    Row("recipient refused", "SmtpCommandException", 1301, OSError, message=to("nobody@example.com")),
    Row("too large", "SmtpCommandException", 1302, OSError, reason="too_large", message={"Body": "x" * 2_000_000}),
    Row("connection lost", "IOException", 1200, OSError, message=to("drop@example.com")),
    Row("no answer", "UnknownOutcomeException", 1303, Exception, UNKNOWN, message=to("silent@example.com")),
]


@dataclass
class Field:
    """The post and the servers that the rows need."""

    post: Post
    ports: dict[str, int]

    def request(self, row: Row) -> dict[str, Any]:
        """The block's JSON for a row: a good request with the row's changes in it."""
        message = {
            "To": [{"Name": None, "Address": "ann@example.com"}],
            "From": {"Name": None, "Address": "clerk@example.com"},
            "Subject": "Hello",
            "Body": "Hello",
        }
        port = row.session.get("Port", self.ports[row.server])
        use_ssl = row.session.get("UseSsl", True)
        host = row.session.get("Host", "localhost")
        password = PASSWORD if row.session.get("Password") != "another" else "wrong"
        token = self.post.encrypt(password, port, use_ssl=use_ssl, username=USERNAME, host=host or "localhost").token
        details = {
            "ServerDetails": {"Host": host, "Port": port, "UseSsl": use_ssl},
            "Credentials": {"Domain": None, "Username": USERNAME, "Password": token},
        }
        if row.session.get("Password") == "correct horse":
            details["Credentials"]["Password"] = "correct horse"
        details |= {key: value for key, value in row.session.items() if key in details}
        changes = {key: self._paths(value) if key == "Attachments" else value for key, value in row.message.items()}
        request = {"EmailMessage": message | changes, "BasicEmailSessionDetails": details}
        return request | {key: None for key in (*row.session, *row.message) if key in request}

    def _paths(self, names: list[Any]) -> list[Any]:
        in_folder = {"none.txt", "closed.txt", "folder"}
        return [str(self.post.attachments / name) if name in in_folder else name for name in names]


@pytest.fixture(scope="module")
def worked(
    valkey_program: Path, tmp_path_factory: pytest.TempPathFactory, certificates: CertificateKit
) -> Iterator[Field]:
    """Redis, a worker that file permissions bind, and a server for every way to fail."""
    folder = tmp_path_factory.mktemp("errors")
    users = {USERNAME: PASSWORD}
    faults = (
        at("RCPT").matching("nobody@").reply("550 5.1.1 No such user"),
        at("RCPT").matching("drop@").drop(),
        at("END_OF_DATA").matching("silent@").accept_then_drop(),
    )
    contexts = {
        "good": certificates.server_context(),
        "expired": certificates.expired_context(),
        "stranger": certificates.unknown_ca_context(),
        "other host": certificates.wrong_host_context(),
    }
    small = ("PIPELINING", "SIZE 1000000", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES")
    servers = {
        name: SmtpServer(tls="implicit", ssl_context=context, users=users, rules=faults, extensions=small)
        for name, context in contexts.items()
    }
    servers["starttls"] = SmtpServer(tls="starttls", ssl_context=contexts["good"], users=users)
    servers["plain"] = SmtpServer(users=users)
    with ExitStack() as stack:
        redis = stack.enter_context(ValkeyServer(valkey_program, folder))
        for server in servers.values():
            stack.enter_context(server)
        post = Post(redis.url, folder, certificates.ca_file)
        (post.attachments / "closed.txt").write_text("closed")
        (post.attachments / "closed.txt").chmod(0)
        (post.attachments / "folder").mkdir()
        stack.enter_context(post.worker(starter=STARTER))
        yield Field(post, {name: server.port for name, server in servers.items()} | {"closed": free_port()})


@pytest.fixture(scope="module")
def answers(worked: Field) -> dict[str, tuple[int, dict[str, Any], str]]:
    """What `postroom send --wait` said to each row."""

    def ask(row: Row) -> tuple[int, dict[str, Any], str]:
        command = worked.post.run("send", "-", "--wait", "50", standard_input=json.dumps(worked.request(row)))
        return command.exit_code, command.answer, command.errors

    with ThreadPoolExecutor(SIDE_BY_SIDE) as side_by_side:
        rows = sorted(BAD_INPUT + SENDING, key=lambda row: row.server != "closed")
        return dict(zip([row.name for row in rows], side_by_side.map(ask, rows), strict=True))


@pytest.fixture(scope="module")
def raised(worked: Field) -> dict[str, PostroomError]:
    """What Python raised for each row: `send` for bad input, `result` for the rest."""
    raised = {}
    with worked.post.mailer() as mailer:
        receipts = {}
        for row in BAD_INPUT + SENDING:
            request = worked.request(row)
            try:
                receipts[row.name] = mailer.send(request["EmailMessage"], request["BasicEmailSessionDetails"])
            except PostroomError as error:
                raised[row.name] = error
        for name, receipt in receipts.items():
            with pytest.raises(PostroomError) as caught:
                receipt.result(timeout=50)
            raised[name] = caught.value
    return raised


@pytest.mark.parametrize("row", BAD_INPUT + SENDING, ids=lambda row: row.name)
def test_the_command_line_tells_the_row(row: Row, answers: dict[str, tuple[int, dict[str, Any], str]]) -> None:
    """Exit code, type, category, code and reason are the table's; the message is a sentence with a help link."""
    exit_code, answer, _ = answers[row.name]
    error = answer["error"]

    assert exit_code == row.exit_code, answer
    assert (error["type"], error["error_code"], error["category"]) == (row.kind, row.code, row.category)
    assert row.reason in {None, error["reason"]}
    assert error["message"].strip()
    assert error["help_link"].endswith(f"#code-{row.code}")
    assert (answer["id"] is None) == (row.exit_code == REFUSED)


@pytest.mark.parametrize("row", BAD_INPUT, ids=lambda row: row.name)
def test_a_refused_input_is_one_clear_line(row: Row, answers: dict[str, tuple[int, dict[str, Any], str]]) -> None:
    """On standard error there is something to read, and it is no traceback."""
    _, _, errors = answers[row.name]

    assert errors.strip()
    assert "Traceback" not in errors


@pytest.mark.parametrize("row", BAD_INPUT + SENDING, ids=lambda row: row.name)
def test_python_raises_the_row(row: Row, raised: dict[str, PostroomError]) -> None:
    """The same type and code, and the built-in that a Python programmer would catch."""
    error = raised[row.name]

    assert (type(error).__name__, error.error_code) == (row.kind, row.code)
    assert error.category == row.category
    assert isinstance(error, row.built_in)
    assert row.reason in {None, error.reason}


def test_a_message_names_what_the_reader_must_look_at(answers: dict[str, tuple[int, dict[str, Any], str]]) -> None:
    """Host, port, path and the server's reply stand in the messages where they are the point."""
    said = {name: answer["error"]["message"] for name, (_, answer, _) in answers.items()}

    assert "localhost" in said["nothing listens"]
    assert "no-such-host.invalid" in said["no such host"]
    assert "none.txt" in said["no such file"]
    assert "UseSsl true" in said["TLS wanted at once"]
    assert "No such user" in said["recipient refused"]
