"""The README is true: its code blocks run as they stand, and its tables are the program's.

Only what a reader must replace is replaced: the server's name, port and password.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest

from postroom.cli.output import ExitCode
from postroom.errors import ErrorCode
from postroom.testing import SmtpServer
from tests.support.celery_worker import ROOT
from tests.support.post import PASSWORD, USERNAME, Post

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def block(language: str, saying: str = "") -> str:
    """The README's one block in a language (that says something)."""
    (found,) = [text for name, text in BLOCKS if name == language and saying in text]
    return str(found)


@pytest.fixture
def set_up(post: Post, tls_server: SmtpServer, tmp_path: Path) -> Post:
    """A post whose sessions file is the README's, with the server of this test in it."""
    token = post.encrypt(PASSWORD, tls_server.port, use_ssl=True, username=USERNAME).token
    text = block("toml", "[sessions.shop]")
    for written, real in (
        ("smtp.example.com", "localhost"),
        ("port = 465", f"port = {tls_server.port}"),
        ("shop@example.com", USERNAME),
        ("v1.k1b2c3d4.…", token),
    ):
        assert text.count(written) == 1
        text = text.replace(written, real)
    sessions = tmp_path / "sessions.toml"
    sessions.write_text(text, encoding="utf-8")
    post.more["POSTROOM_SESSIONS_FILE"] = str(sessions)
    return post


def run(command: list[str], environment: dict[str, str], text: str = "") -> str:
    """Run a command to its end and return what it printed."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    ended = subprocess.run(
        command, input=text, env=os.environ | environment | {"PATH": path}, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended
    return ended.stdout


def test_every_block_is_run_by_a_test() -> None:
    """A block in another language, or a second one, would go untested."""
    assert [name for name, _ in BLOCKS] == ["python", "sh", "toml", "python", "python", "python", "toml", "json"]


def test_the_ten_lines_send_a_mail(set_up: Post, tls_server: SmtpServer) -> None:
    """The first example prints what it says, and the mail is there."""
    with set_up.worker():
        printed = run([sys.executable, "-"], set_up.environment, block("python", "Mailer.from_env()"))

    assert printed == "sent ['ann@example.com']\n"
    assert [message.parsed()["Subject"] for message in tls_server.messages] == ["Your order"]


# What an application does with each snippet, and one of its customers.
WEB = {
    "postroom.django": """
import django
from django.conf import settings
settings.configure(**{name: value for name, value in globals().items() if name.isupper()})
django.setup()
from django.core.mail import send_mail
print(send_mail("Your order", "Thanks.", "shop@example.com", ["ann@example.com"]))
""",
    "postroom.flask": """
print(create_app().test_client().post("/orders", json={"email": "ann@example.com"}).status_code)
""",
    "postroom.fastapi": """
from fastapi.testclient import TestClient
with TestClient(app) as client:
    print(client.post("/orders?email=ann@example.com").status_code)
""",
}


@pytest.mark.parametrize(("adapter", "customer"), WEB.items(), ids=WEB)
def test_the_snippets_for_web_applications_send(
    set_up: Post, tls_server: SmtpServer, adapter: str, customer: str
) -> None:
    """Each snippet as it stands makes an application whose customer gets a mail."""
    with set_up.worker():
        printed = run([sys.executable, "-"], set_up.environment, block("python", adapter) + customer)
        tls_server.wait_for_messages(1, timeout_s=30)

    assert printed in {"1\n", "200\n"}
    assert tls_server.messages[0].recipients == ("ann@example.com",)


def test_the_shell_lines_make_keys_and_a_password() -> None:
    """Two key rings and one encrypted text come out."""
    printed = run(["/bin/bash", "-eu"], {"SMTP_PASSWORD": "correct horse"}, block("sh"))

    assert re.fullmatch(r"v1\.k[0-9a-f]{8}\.[\w-]+\n", printed)


def test_the_schedule_is_one(set_up: Post, tmp_path: Path) -> None:
    """Its entry is due on Mondays."""
    schedule = tmp_path / "schedule.toml"
    schedule.write_text(block("toml", "[[schedule]]"), encoding="utf-8")
    set_up.more["POSTROOM_SCHEDULE_FILE"] = str(schedule)
    due = datetime.fromisoformat(set_up.run("beat", "--next", "1").answer["local"])

    assert (due.strftime("%A %H:%M"), due.utcoffset() is not None) == ("Monday 07:30", True)


def test_the_json_is_sent_as_it_stands(set_up: Post, tls_server: SmtpServer) -> None:
    """The block's JSON with a session's name: sent, and the session closed afterwards."""
    with set_up.worker():
        sent = set_up.run("send", "-", "--wait", "30", standard_input=block("json"))
        tls_server.wait_for(lambda: tls_server.connections and tls_server.connections[0].ending == "quit")

    assert sent.exit_code == 0, sent
    assert tls_server.messages[0].recipients == ("recipient@outlook.com",)


def test_the_exit_codes_are_the_programs() -> None:
    """Each code in the README's list is one that the program uses, and all of them are there."""
    listed = re.search(r"^Exit codes: (.*?130 interrupted)", README, re.DOTALL | re.MULTILINE)
    assert listed is not None

    assert {int(code) for code in re.findall(r"\b(\d+) ", listed[1])} == {int(code) for code in ExitCode}


def test_the_error_table_names_codes_that_exist() -> None:
    """Every number in the error table is an error's number."""
    table = README.partition("## Errors")[2].partition("Connections are tried")[0]
    numbers = {int(number) for number in re.findall(r"\b(\d{3,4})\b", table)}

    assert numbers <= {int(code) for code in ErrorCode}
    assert {code for code in ErrorCode if 1000 <= code < 1400} <= numbers
