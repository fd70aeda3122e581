"""The process's one mailer: made of settings and environment, once, and replaced by tests."""

from __future__ import annotations

import threading

import pytest
from django.test import override_settings

from postroom import Mailer
from postroom.django import get_mailer, use_mailer
from postroom.errors import SettingsException
from postroom.testing import OutboxMailer
from postroom_contract.sealing import generate_key


@pytest.fixture
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment with keys, in which the mailer has not been made yet."""
    monkeypatch.setenv("POSTROOM_KEYS", generate_key("env"))


@pytest.mark.usefixtures("_keys")
def test_all_threads_share_one_mailer() -> None:
    """Whoever asks first makes it, and everybody gets the same."""
    with override_settings(POSTROOM_BROKER_URL="redis://localhost:1/0"):
        got: list[object] = []
        threads = [threading.Thread(target=lambda: got.append(get_mailer())) for _ in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert len(got) == 10
    assert len({id(mailer) for mailer in got}) == 1
    assert isinstance(got[0], Mailer)


@pytest.mark.usefixtures("_keys")
def test_djangos_settings_win_over_the_environment() -> None:
    """A POSTROOM_* setting is taken from Django's settings; overriding it makes another mailer."""
    with override_settings(POSTROOM_KEYS=generate_key("django")):
        mailer = get_mailer()
        assert isinstance(mailer, Mailer)
        assert mailer._settings.keyring.seal(b"", {}).startswith("v1.django.")
        with override_settings(POSTROOM_BROKER_URL="redis://localhost:1/0"):
            assert get_mailer() is not mailer


def test_a_wrong_setting_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without keys there is no mailer; later, with keys, there is."""
    monkeypatch.delenv("POSTROOM_KEYS", raising=False)
    with pytest.raises(SettingsException, match="POSTROOM_KEYS"):
        get_mailer()
    with override_settings(POSTROOM_KEYS=generate_key()):
        assert isinstance(get_mailer(), Mailer)


def test_a_test_puts_its_own_in_place() -> None:
    """`use_mailer` replaces the mailer inside, and inside that again; afterwards the former is back."""
    outer, inner = OutboxMailer(), OutboxMailer()
    with use_mailer(outer):
        with use_mailer(inner):
            assert get_mailer() is inner
        assert get_mailer() is outer
