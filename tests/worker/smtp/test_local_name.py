"""What we call ourselves in EHLO."""

import socket

import pytest

from postroom_worker.smtp.local_name import address_literal, check_local_name, machine_name


@pytest.mark.parametrize(
    ("name", "checked"),
    [
        ("mail.example", "mail.example"),
        ("worker1", "worker1"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("[192.0.2.1]", "[192.0.2.1]"),
        ("[IPv6:2001:db8::1]", "[IPv6:2001:db8::1]"),
    ],
)
def test_domains_and_literals_are_allowed(name: str, checked: str) -> None:
    """They reach the wire in ASCII."""
    assert check_local_name(name) == checked


@pytest.mark.parametrize(
    "name", ["", "a b", "a\r\nMAIL FROM:<>", "a\n", "mail_1.example", "[300.1.1.1]", "[::1]", "a@b"]
)
def test_what_would_break_the_command_is_refused(name: str) -> None:
    """A configured name cannot add parameters or commands."""
    with pytest.raises(ValueError, match="local host name"):
        check_local_name(name)


@pytest.mark.parametrize(
    ("name", "taken"),
    [
        ("mail.example", "mail.example"),
        ("mail.example.", "mail.example"),
        ("laptop", None),
        ("laptop.local", None),
        ("localhost.localdomain", None),
        ("bad_name.example", None),
        ("bücher.example", None),
    ],
)
def test_the_machine_is_named_only_where_its_name_means_something(
    name: str, taken: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name without a domain tells a server nothing and an outsider too much."""
    monkeypatch.setattr(socket, "gethostname", lambda: name)

    assert machine_name() == taken


@pytest.mark.parametrize(
    ("address", "literal"),
    [("127.0.0.1", "[127.0.0.1]"), ("::1", "[IPv6:::1]"), ("fe80::1%eth0", "[IPv6:fe80::1]")],
)
def test_without_a_name_the_address_serves(address: str, literal: str) -> None:
    """RFC 5321 section 4.1.3."""
    assert address_literal(address) == literal
    assert check_local_name(literal) == literal
