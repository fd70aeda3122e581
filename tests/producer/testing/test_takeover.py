"""The outbox that takes over what a program sends, for a while."""

from __future__ import annotations

import pytest

from postroom import Mailer
from postroom.errors import SettingsException
from postroom.testing.takeover import AnySession, taken_over

MESSAGE = {"To": "ann@example.com", "From": "shop@example.com", "Body": "x"}


def test_from_env_gives_the_outbox_meanwhile() -> None:
    """However often it is asked, and whatever it is asked with; afterwards it needs settings again."""
    with taken_over() as outbox:
        Mailer.from_env().send(MESSAGE, "shop")
        Mailer.from_env({"POSTROOM_KEYS": "nonsense"}).send(MESSAGE, "another")

    assert len(outbox.outbox) == 2
    with pytest.raises(SettingsException):
        Mailer.from_env({})


def test_any_name_of_a_session_will_do() -> None:
    """Its details lead nowhere."""
    assert AnySession().get("whatever").server_details.host == "localhost"
