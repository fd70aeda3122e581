"""What the tests of the commands share: the command run in this process, with an environment of its own.

The commands are the real ones, and so is their Redis.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from click.testing import CliRunner, Result

from postroom.cli import main
from postroom.testing.ports import free_port
from postroom_contract.encrypted_text import EncryptedText
from postroom_contract.sealing import Keyring, generate_key
from tests.support.payloads import BLOCK_MESSAGE

PASSWORD = "s3cret-pass-phrase"


@dataclass(frozen=True)
class Keys:
    """The two key rings of one test, in their written form."""

    sealing: str
    password: str


Command = Callable[..., Result]


@pytest.fixture
def keys() -> Keys:
    """Fresh key rings."""
    return Keys(generate_key("test"), generate_key("pass"))


@pytest.fixture
def away_url() -> str:
    """The URL of a Redis that is not there."""
    return f"redis://127.0.0.1:{free_port()}/0"


@pytest.fixture
def command(keys: Keys) -> Command:
    """Run `postroom` with these arguments, with keys and whatever else is set, and nothing from this machine's settings."""

    def run(*arguments: str, stdin: str | bytes | None = None, **settings: str | None) -> Result:
        unset = {name: None for name in os.environ if name.startswith("POSTROOM_")}
        rings = {"POSTROOM_KEYS": keys.sealing, "POSTROOM_PASSWORD_KEYS": keys.password}
        return CliRunner(env={**unset, **rings, **settings}).invoke(main, arguments, input=stdin)

    return run


@pytest.fixture
def request_json(keys: Keys) -> dict[str, Any]:
    """A request as `postroom send` reads it: the block's example, at a port where nothing is."""
    host, port, username = "127.0.0.1", free_port(), "sender@gmail.com"
    encrypted = EncryptedText.encrypt(
        PASSWORD, keyring=Keyring.parse(keys.password), host=host, port=port, username=username
    )
    return {
        "EmailMessage": BLOCK_MESSAGE,
        "BasicEmailSessionDetails": {
            "ServerDetails": {"Host": host, "Port": port, "UseSsl": True},
            "Credentials": {"Domain": None, "Username": username, "Password": encrypted.token},
        },
        "CloseSession": None,
    }


def changed(request: Mapping[str, Any], part: str, **changes: Any) -> dict[str, Any]:
    """A copy of a request, with some properties of its message or its server changed."""
    if part == "ServerDetails":
        details = request["BasicEmailSessionDetails"]
        server = {**details["ServerDetails"], **changes}
        return {**request, "BasicEmailSessionDetails": {**details, "ServerDetails": server}}
    return {**request, part: {**request[part], **changes}}
