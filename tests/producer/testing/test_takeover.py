"""The outbox that takes over what a program sends, for a while."""

from __future__ import annotations

import asyncio

import pytest

from postroom import Mailer
from postroom.errors import SettingsException
from postroom.testing import free_port
from postroom.testing.takeover import AnySession, StandIn, taken_over
from postroom_contract.sealing import generate_key
from tests.support.django_site import set_up

MESSAGE = {"To": "ann@example.com", "From": "shop@example.com", "Body": "x"}


def test_from_env_gives_the_outbox_meanwhile() -> None:
    """However often it is asked, and whatever it is asked with; afterwards it needs settings again."""
    with taken_over() as outbox:
        Mailer.from_env().send(MESSAGE, "shop")
        Mailer.from_env({"POSTROOM_KEYS": "nonsense"}).send(MESSAGE, "another")

    assert len(outbox.outbox) == 2
    with pytest.raises(SettingsException):
        Mailer.from_env({})


def test_mailers_that_were_made_before_hand_over_to_it_too() -> None:
    """An application that made its mailer when it was imported sends nothing for real; afterwards it does again."""
    settings = {"POSTROOM_KEYS": generate_key(), "POSTROOM_BROKER_URL": f"redis://127.0.0.1:{free_port()}/0"}
    with Mailer.from_env(settings) as mailer:
        with taken_over() as outbox:
            receipts = [mailer.send(MESSAGE, "shop"), asyncio.run(mailer.asend(MESSAGE, "shop"))]
            mailer.check(MESSAGE, "shop")

            assert [delivery.id for delivery in outbox.outbox] == [receipt.id for receipt in receipts]
            assert mailer.receipt(receipts[0].id).state() == "sent"
            assert list(mailer.scheduled()) == list(mailer.held()) == []
        with pytest.raises(ValueError, match="no session '"):
            mailer.send(MESSAGE, "shop")


def test_a_mailer_that_is_kept_serves_the_next_outbox() -> None:
    """As an application's that is made once for all tests; between them it says what is missing."""
    with taken_over():
        mailer = Mailer.from_env()
        mailer.close()
    with pytest.raises(RuntimeError, match="ask for postroom_outbox too"):
        mailer.send(MESSAGE, "shop")
    with taken_over() as outbox:
        mailer.send(MESSAGE, "shop")

    assert len(outbox.outbox) == 1
    assert repr(mailer) == "StandIn()"
    assert not hasattr(mailer, "colour")


def test_an_outbox_within_an_outbox_gets_the_mail() -> None:
    """And the outer one after it."""
    with taken_over() as outer:
        with taken_over() as inner:
            Mailer.from_env().send(MESSAGE, "shop")
        Mailer.from_env().send(MESSAGE, "shop")

    assert (len(outer.outbox), len(inner.outbox)) == (1, 1)


def fail_with(mailer: object) -> None:
    """What a test that has a mailer may do."""
    assert isinstance(mailer, StandIn)
    raise RuntimeError("a test's own")


def test_django_forgets_it_afterwards() -> None:
    """Also where a test has failed: the next one must not send into an outbox that nobody looks at."""
    set_up()
    from postroom.django import mailer as django_mailer  # noqa: PLC0415 -- Django has to be set up first

    with pytest.raises(RuntimeError, match="a test's own"), taken_over():
        fail_with(django_mailer.get_mailer())

    assert django_mailer._mailer is None


def test_any_name_of_a_session_will_do() -> None:
    """Its details lead nowhere."""
    assert AnySession().get("whatever").server_details.host == "localhost"
