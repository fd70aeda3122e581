"""The pytest plugin as a user has it: in runs of its own, of tests like those in the documentation."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from postroom_contract.sealing import generate_key
from tests.support.post import ROOT
from tests.support.valkey import connect

pytest_plugins = ("pytester",)

TESTING = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", TESTING, re.DOTALL | re.MULTILINE)
# A worker and a broker start for each test that asks for a system.
TIMEOUT_S = 110


def run(pytester: pytest.Pytester, text: str) -> dict[str, int]:
    """How the tests of a file ended; what a framework warns of in its own settings is no matter here."""
    pytester.makepyfile(text)
    ended = pytester.runpytest_subprocess("-p", "no:cacheprovider", timeout=TIMEOUT_S)
    return {outcome: count for outcome, count in ended.parseoutcomes().items() if outcome != "warnings"}


def test_every_block_of_the_documentation_is_run() -> None:
    """A third one would go untested."""
    assert [language for language, _ in BLOCKS] == ["python", "python"]


def test_the_documented_outbox(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """It needs no settings at all."""
    for name in ("POSTROOM_KEYS", "POSTROOM_SESSIONS_FILE", "POSTROOM_BROKER_URL"):
        monkeypatch.delenv(name, raising=False)

    assert run(pytester, BLOCKS[0][1]) == {"passed": 3}


@pytest.mark.usefixtures("valkey_program")
def test_the_documented_servers(pytester: pytest.Pytester) -> None:
    """A real worker meets each fault."""
    assert run(pytester, BLOCKS[1][1]) == {"passed": 4}


def test_sessions_may_be_named(pytester: pytest.Pytester) -> None:
    """With a fixture of its own a suite finds a name that nobody has configured."""
    text = """
import postroom, pytest

@pytest.fixture
def postroom_sessions():
    details = {"ServerDetails": {"Host": "h", "Port": 25}, "Credentials": {"Anonymous": True}}
    return {"shop": postroom.BasicEmailSessionDetails.accept(details)}

def test_names(postroom_outbox):
    message = {"To": "ann@example.com", "From": "shop@example.com", "Body": "x"}
    postroom.Mailer.from_env().send(message, "shop")
    with pytest.raises(postroom.ArgumentException, match="known: shop"):
        postroom.Mailer.from_env().send(message, "shpo")
"""

    assert run(pytester, text) == {"passed": 1}


EXAMPLES = {
    "flask": """
from app import create_app

def test_order(postroom_outbox):
    assert create_app().test_client().post("/orders", json={"email": "ann@example.com"}).status_code < 300
    assert [delivery.message.recipients for delivery in postroom_outbox.outbox] == [("ann@example.com",)]
""",
    "fastapi": """
from fastapi.testclient import TestClient
from app import app

def test_order(postroom_outbox):
    with TestClient(app) as client:
        assert client.post("/orders", json={"email": "ann@example.com"}).status_code < 300
    assert [delivery.message.recipients for delivery in postroom_outbox.outbox] == [("ann@example.com",)]
""",
    "django": """
import os
os.environ["DJANGO_SETTINGS_MODULE"] = "shop.settings"
import django
django.setup()
from django.conf import settings
from django.test import Client

def test_order(postroom_outbox):
    settings.ALLOWED_HOSTS = ["testserver"]
    answer = Client().post("/orders", data={"email": "ann@example.com"}, content_type="application/json")
    assert answer.status_code < 300, answer.content
    assert [delivery.message.recipients for delivery in postroom_outbox.outbox] == [("ann@example.com",)]
""",
}


@pytest.mark.parametrize("framework", EXAMPLES)
def test_an_applications_mail_is_in_the_outbox(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, framework: str
) -> None:
    """Each of the example applications, as it stands, without Redis."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "producer" / "examples" / f"{framework}_app"))

    assert run(pytester, EXAMPLES[framework]) == {"passed": 1}


def test_an_application_made_before_the_test_is_caught(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, redis_url: str
) -> None:
    """Where it was made for real, with a broker that answers, nothing of what its tests send reaches it."""
    monkeypatch.setenv("POSTROOM_KEYS", generate_key())
    monkeypatch.setenv("POSTROOM_BROKER_URL", redis_url)
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "producer" / "examples" / "flask_app"))
    text = """
from app import create_app

client = create_app().test_client()

def test_first(postroom_outbox):
    client.post("/orders", json={"email": "ann@example.com"})
    assert len(postroom_outbox.outbox) == 1

def test_second(postroom_outbox):
    receipt = client.post("/orders", json={"email": "bob@example.com"}).json["receipt"]
    assert client.get(f"/orders/{receipt}").json == {"state": "sent"}
    assert [delivery.message.recipients for delivery in postroom_outbox.outbox] == [("bob@example.com",)]
"""

    assert run(pytester, text) == {"passed": 2}
    with connect(redis_url) as client:
        assert client.keys() == []


def test_mistakes_are_told_in_words(pytester: pytest.Pytester) -> None:
    """A certificate that there is not, and an outbox that would take a system's mail away."""
    pytester.makepyfile("""
def test_certificate(postroom_smtp_servers):
    postroom_smtp_servers(certificate="expird")

def test_both(postroom_outbox, postroom_system):
    pass
""")
    ended = pytester.runpytest_subprocess("-p", "no:cacheprovider", timeout=TIMEOUT_S)

    assert ended.parseoutcomes() == {"failed": 1, "errors": 1}
    ended.stdout.fnmatch_lines_random(
        [
            "*no such certificate: 'expird'; there are good, expired, *",
            "postroom_outbox gets the mail * ask for one of them",
        ]
    )


def test_certificates_need_trustme(pytester: pytest.Pytester) -> None:
    """The test is skipped, with what to install."""
    pytester.makepyfile("""
import sys
sys.modules["trustme"] = None

def test_certificate(postroom_smtp_servers):
    postroom_smtp_servers(certificate="expired")
""")
    ended = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-rs", timeout=TIMEOUT_S)

    assert ended.parseoutcomes() == {"skipped": 1}
    ended.stdout.fnmatch_lines(["*pip install '.[[]testing]' in Postroom's folder*"])


def test_a_suite_that_does_not_use_it_does_not_pay_for_it() -> None:
    """Loading the plugin imports nothing of Postroom."""
    program = "import postroom_pytest, sys; print(sorted(name for name in sys.modules if name.startswith('postroom')))"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert ended.stdout == "['postroom_pytest']\n"


def test_a_missing_part_skips_the_test(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With what to install."""
    monkeypatch.setenv("PATH", str(tmp_path))
    text = """
import importlib.metadata

def test_system(monkeypatch, request):
    monkeypatch.setattr(importlib.metadata, "files", lambda name: [])
    request.getfixturevalue("postroom_system")
"""

    assert run(pytester, text) == {"skipped": 1}
