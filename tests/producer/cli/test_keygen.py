"""`postroom keygen`: a line that is ready for a key ring."""

import pytest

from postroom_contract.sealing import Keyring
from tests.producer.cli.conftest import Command


def test_key_is_ready_for_a_ring(command: Command) -> None:
    """The line is a ring of one key, with the name that was asked for."""
    done = command("keygen", "--id", "mail-2025")

    assert done.exit_code == 0
    assert Keyring.parse(done.stdout).ids == ("mail-2025",)


def test_each_key_is_new(command: Command) -> None:
    """Two calls give two keys with two names, which make a ring together."""
    first, second = command("keygen").stdout.strip(), command("keygen").stdout.strip()

    assert len(Keyring.parse(f"{first},{second}").ids) == 2


@pytest.mark.parametrize("key_id", ["", "a:b", "a b", "x" * 33])
def test_name_that_no_ring_would_take_is_refused(command: Command, key_id: str) -> None:
    """The rule is told, and no key is printed."""
    done = command("keygen", "--id", key_id)

    assert (done.exit_code, done.stdout) == (2, "")
    assert "1 to 32 of" in done.stderr


def test_no_settings_are_needed(command: Command) -> None:
    """Somebody has to make the first key."""
    assert command("keygen", POSTROOM_KEYS=None, POSTROOM_PASSWORD_KEYS=None).exit_code == 0
