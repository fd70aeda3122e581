"""Opened session details: what identifies a session, and what nobody gets to see."""

import dataclasses

import pytest

from postroom_worker.smtp.access import Access

ACCESS = Access("Mail.example.", 465, username="user@here.example", password="s3cret")


@pytest.mark.parametrize(
    "change",
    [
        {"host": "other.example"},
        {"port": 587},
        {"use_ssl": False},
        {"allow_cleartext": True},
        {"username": "another@here.example"},
        {"password": "other"},
        {"username": None, "password": None},
    ],
    ids=str,
)
def test_each_detail_makes_another_session(change: dict[str, object]) -> None:
    """Nobody ever sends over a connection that was opened with other details."""
    assert dataclasses.replace(ACCESS, **change).key != ACCESS.key  # type: ignore[arg-type]


def test_equal_details_share_a_session() -> None:
    """Host names compare without case and without the dot that roots them."""
    assert dataclasses.replace(ACCESS, host="mail.EXAMPLE").key == ACCESS.key
    assert hash(dataclasses.replace(ACCESS).key) == hash(ACCESS.key)


def test_neither_access_nor_key_shows_anything() -> None:
    """Both stand in reprs and tracebacks; the key does not even hold the password."""
    for shown in (repr(ACCESS), repr(ACCESS.key)):
        assert not any(secret in shown for secret in ("s3cret", "user", "Mail", "mail"))
    assert "s3cret" not in str(dataclasses.astuple(ACCESS.key))


@pytest.mark.parametrize("half", [{"username": "user"}, {"password": "s3cret"}])
def test_half_of_the_credentials_is_a_mistake(half: dict[str, str]) -> None:
    """A user without a password would log in as nobody."""
    with pytest.raises(ValueError, match="user name and password"):
        Access("mail.example", 465, **half)  # type: ignore[arg-type]
