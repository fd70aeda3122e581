"""The producer's settings: what they are by default, the sessions file, and every mistake at once."""

from pathlib import Path
from typing import Any

import pytest

from postroom.settings import ProducerSettings
from postroom_contract.errors import SettingsException
from postroom_contract.sealing import generate_key
from postroom_contract.session import Anonymous, UserCredentials
from tests.support.payloads import PASSWORD_TOKEN

KEYS = generate_key("k1")

SESSIONS = f"""
[sessions.office]
host = "smtp.gmail.com"
port = 465
username = "sender@gmail.com"
password = "{PASSWORD_TOKEN}"

[sessions.relay]
host = "relay.internal"
port = 25
use_ssl = false
allow_cleartext = true
anonymous = true
"""


def settings(tmp_path: Path, sessions: str | bytes | None = None, **variables: str) -> ProducerSettings:
    """Settings from these variables and, perhaps, a sessions file."""
    if sessions is not None:
        file = tmp_path / "sessions.toml"
        file.write_bytes(sessions if isinstance(sessions, bytes) else sessions.encode())
        variables["POSTROOM_SESSIONS_FILE"] = str(file)
    return ProducerSettings.from_env({"POSTROOM_KEYS": KEYS, **variables})


def mistakes(tmp_path: Path, sessions: str | bytes | None = None, **variables: str) -> list[str]:
    """What is told of wrong settings."""
    with pytest.raises(SettingsException) as caught:
        settings(tmp_path, sessions, **variables)
    assert "canary" not in f"{caught.value} {caught.value!r} {caught.value.args}"
    return [mistake["message"] for mistake in caught.value.mistakes]


def test_defaults(tmp_path: Path) -> None:
    """Only a key ring is needed: Redis is at home, results are with the broker, no session has a name."""
    made = settings(tmp_path)

    assert (made.broker_url, made.result_url) == ("redis://127.0.0.1:6379/0",) * 2
    assert made.keyring.ids == ("k1",)
    assert made.sessions == {}


def test_results_are_where_the_broker_is_unless_told_otherwise(tmp_path: Path) -> None:
    """One URL is enough for both."""
    one = settings(tmp_path, POSTROOM_BROKER_URL="redis://b/1")
    two = settings(tmp_path, POSTROOM_BROKER_URL="redis://b/1", POSTROOM_RESULT_URL="redis://r/2")

    assert (one.broker_url, one.result_url) == ("redis://b/1", "redis://b/1")
    assert (two.broker_url, two.result_url) == ("redis://b/1", "redis://r/2")


def test_the_hosts_celery_settings_are_not_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A web application with a Celery of its own keeps its URLs to itself."""
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://other/9")
    monkeypatch.setenv("CELERY_RESULT_BACKEND", "redis://other/9")
    monkeypatch.setenv("POSTROOM_KEYS", KEYS)
    monkeypatch.delenv("POSTROOM_BROKER_URL", raising=False)

    assert ProducerSettings.from_env().broker_url == "redis://127.0.0.1:6379/0"


def test_settings_may_come_from_files(tmp_path: Path) -> None:
    """URL and keys as container secrets."""
    (tmp_path / "url").write_text("redis://:secret@b/0\n")
    (tmp_path / "keys").write_text(KEYS)
    made = ProducerSettings.from_env(
        {"POSTROOM_BROKER_URL_FILE": str(tmp_path / "url"), "POSTROOM_KEYS_FILE": str(tmp_path / "keys")}
    )

    assert made.broker_url == "redis://:secret@b/0"
    assert made.keyring.ids == ("k1",)


def test_named_sessions(tmp_path: Path) -> None:
    """A flat table for each: server and credentials side by side."""
    sessions = settings(tmp_path, SESSIONS).sessions
    office, relay = sessions["office"], sessions["relay"]

    assert (office.server_details.host, office.server_details.port, office.server_details.use_ssl) == (
        "smtp.gmail.com",
        465,
        True,
    )
    assert isinstance(office.credentials, UserCredentials)
    assert office.credentials.username == "sender@gmail.com"
    assert (relay.server_details.use_ssl, relay.server_details.allow_cleartext) == (False, True)
    assert isinstance(relay.credentials, Anonymous)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[sessions.x\npassword = 'canary'", "POSTROOM_SESSIONS_FILE is not valid TOML (line 1, column 12)"),
        ("[sessions.x]\npassword = 'canary", "POSTROOM_SESSIONS_FILE is not valid TOML (end of document)"),
        ("[sessions.x]\npassword = canary", "POSTROOM_SESSIONS_FILE is not valid TOML (line 2, column 12)"),
        ("", "POSTROOM_SESSIONS_FILE holds something else than tables [sessions.<name>]"),
        (
            "[session.x]\nhost = 'canary'",
            "POSTROOM_SESSIONS_FILE holds something else than tables [sessions.<name>]: write [sessions.x] for [session.x]",
        ),
        ("sessions = 'canary'", "POSTROOM_SESSIONS_FILE holds something else than tables [sessions.<name>]"),
        (
            f"{SESSIONS}\n[other]",
            "POSTROOM_SESSIONS_FILE holds something else than tables [sessions.<name>]: write [sessions.other] for [other]",
        ),
    ],
)
def test_a_sessions_file_that_is_none(tmp_path: Path, text: str | bytes, told: str) -> None:
    """A file that names no sessions is a mistake: `send` would not find them either."""
    assert mistakes(tmp_path, text) == [told]


def test_a_missing_sessions_file(tmp_path: Path) -> None:
    """A path that leads nowhere is told, and one that leads to something else than text."""
    assert mistakes(tmp_path, POSTROOM_SESSIONS_FILE=str(tmp_path / "none")) == [
        f"POSTROOM_SESSIONS_FILE names {tmp_path / 'none'}, which cannot be read (FileNotFoundError)"
    ]
    (told,) = mistakes(tmp_path, b"\xff")
    assert told.endswith("sessions.toml, which cannot be read (UnicodeDecodeError)")


def test_every_mistake_in_every_session_is_told(tmp_path: Path) -> None:
    """By the session's name and the property; passwords in the clear are refused and not shown."""
    told = mistakes(
        tmp_path,
        """
        [sessions]
        flat = "canary"
        [sessions.one]
        host = ""
        port = 0
        username = "canary"
        password = "canary"
        [sessions.two]
        host = "h"
        port = 25
        """,
    )
    where = "in POSTROOM_SESSIONS_FILE: "

    assert told == [
        f"session 'flat' {where}Input is not valid. It should be an object.",
        f"session 'one' {where}host is required and is empty.",
        f"session 'one' {where}port is out of range. The least is 1.",
        f"session 'one' {where}password is not encrypted. It is not of the form that `postroom encrypt` prints.",
        f"session 'two' {where}username is required and is null.",
        f"session 'two' {where}password is required and is null.",
    ]


def test_a_key_that_no_session_has_is_told_with_those_that_it_has(tmp_path: Path) -> None:
    """A slip by its name, the block's spelling among them; what looks like none is not shown."""
    told = mistakes(
        tmp_path,
        """
        [sessions.relay]
        host = "h"
        port = 25
        anonymous = true
        Host = "canary"
        use-ssl = false
        "canary@example.com" = true
        """,
    )
    has = "is none of host, port, use_ssl, allow_cleartext, username, password, domain, anonymous"

    assert told == [
        f"session 'relay' in POSTROOM_SESSIONS_FILE: {key} {has}" for key in ("'Host'", "'use-ssl'", "a key")
    ]


@pytest.mark.parametrize("value", ['"no"', '"false"', "0", '"banana"'])
def test_words_for_yes_and_no_are_refused(tmp_path: Path, value: str) -> None:
    """Whether TLS is used is no matter of guessing."""
    told = mistakes(tmp_path, f'[sessions.x]\nhost = "h"\nport = 25\nanonymous = true\nuse_ssl = {value}\n')

    assert told[0] == "session 'x' in POSTROOM_SESSIONS_FILE: use_ssl is true or false, without quotes"


def test_every_wrong_setting_is_told_at_once(tmp_path: Path) -> None:
    """Keys, URLs and sessions in one list, laid out a line each, without a key or a password."""
    variables: dict[str, Any] = {
        "POSTROOM_KEYS": "canary",
        "POSTROOM_BROKER_URL": "redis://:canary#x@b:1/0",
        "POSTROOM_RESULT_URL": "http://canary",
        "POSTROOM_SESSIONS_FILE": str(tmp_path / "none"),
    }
    with pytest.raises(SettingsException) as caught:
        ProducerSettings.from_env(variables)

    lines = str(caught.value).splitlines()
    assert lines[0] == "4 mistakes:"
    assert [line.partition(":")[0].partition(" names")[0] for line in lines[1:]] == [
        "- POSTROOM_KEYS",
        "- POSTROOM_SESSIONS_FILE",
        "- POSTROOM_RESULT_URL",
        "- POSTROOM_BROKER_URL",
    ]
    assert "canary" not in str(caught.value)


def test_nothing_set_at_all() -> None:
    """The first thing that a newcomer sees says what to do."""
    with pytest.raises(SettingsException) as caught:
        ProducerSettings.from_env({})

    assert str(caught.value) == (
        "The settings are wrong. POSTROOM_KEYS (or POSTROOM_KEYS_FILE) is not set: give this program the ring that the workers "
        "have; `postroom keygen` prints the first key of a new one"
    )


def test_settings_show_no_password(tmp_path: Path) -> None:
    """They may end up in a log or a debugger's page."""
    made = settings(tmp_path, SESSIONS, POSTROOM_BROKER_URL="redis://:canary@b/0")

    assert "canary" not in f"{made} {made!r}"
    assert "gmail" not in f"{made!r}"
