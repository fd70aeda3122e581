"""What a server announces, by its settings and by how far the client has got."""

import pytest

from postroom.testing.smtp_state import SessionState, SmtpSettings, TlsMode, Transaction


def settings(
    *, tls: TlsMode = "none", users: bool = False, cleartext: bool = False, extensions: tuple[str, ...] = ()
) -> SmtpSettings:
    """Return settings with one user and two mechanisms, and no context: nothing here shakes hands."""
    return SmtpSettings(
        tls=tls,
        ssl_context=None,
        users={"user": "secret"} if users else {},
        auth_mechanisms=("LOGIN", "PLAIN"),
        allow_cleartext_auth=cleartext,
        require_auth=False,
        extensions=extensions,
    )


@pytest.mark.parametrize(
    ("extensions", "limit"),
    [((), None), (("SIZE",), None), (("SIZE 0",), None), (("8BITMIME", "size 1000"), 1000)],
)
def test_the_size_limit_is_what_the_keyword_says(extensions: tuple[str, ...], limit: int | None) -> None:
    """No number and 0 mean that there is no limit (RFC 1870)."""
    assert settings(extensions=extensions).size_limit == limit


@pytest.mark.parametrize(
    ("given", "encrypted", "keywords"),
    [
        (settings(extensions=("PIPELINING", "SIZE 5")), False, ("PIPELINING", "SIZE 5")),
        (settings(tls="starttls", users=True), False, ("STARTTLS",)),
        (settings(tls="starttls", users=True), True, ("AUTH LOGIN PLAIN",)),
        (settings(tls="starttls", users=True, cleartext=True), False, ("STARTTLS", "AUTH LOGIN PLAIN")),
        (settings(tls="implicit", users=True), True, ("AUTH LOGIN PLAIN",)),
        (settings(users=True), False, ()),
        (settings(cleartext=True), False, ()),
    ],
)
def test_what_is_announced(given: SmtpSettings, encrypted: bool, keywords: tuple[str, ...]) -> None:  # noqa: FBT001
    """STARTTLS until TLS stands; AUTH only behind TLS unless allowed before, and only where there are users."""
    assert SessionState(given, is_encrypted=encrypted).keywords == keywords


def test_announced_are_the_keywords_alone() -> None:
    """Parameters are not part of a keyword's name."""
    assert SessionState(settings(extensions=("Size 5", "DSN"))).announced == {"SIZE", "DSN"}


def test_settings_do_not_show_passwords() -> None:
    """The users are not in the repr."""
    assert "secret" not in repr(settings(users=True))


def test_addresses_of_a_transaction_are_sender_and_recipients() -> None:
    """What rules match at DATA and after it."""
    assert Transaction("a@x.test", {}, ["b@x.test", "c@x.test"]).addresses == "a@x.test b@x.test c@x.test"
