"""Addresses: what RFC 5321 allows passes as it is, everything else is refused and nothing is repaired."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom_contract.address import MOST_NAME_CHARACTERS, EmailAddress, a_label, host_form, to_wire
from postroom_contract.errors import (
    ArgumentException,
    PropertyEmptyException,
    PropertyNullException,
    SmtpCommandException,
)

GOOD = [
    "recipient@outlook.com",
    "a@b",
    "root@localhost",
    "first.last+tag@sub.example.co.uk",
    "!#$%&'*+-/=?^_`{|}~@example.com",
    '"quoted local"@example.com',
    '"a@b"@example.com',
    '"back\\"slash\\\\"@example.com',
    '""@example.com',
    "1@2.3",
    "a@[192.0.2.1]",
    "a@[IPv6:2001:db8::1]",
    "a@[ipv6:::1]",
    "a@x--y.example",
    "A" * 64 + "@example.com",
    "a@" + "b" * 63 + ".com",
    "a@" + ".".join(["b" * 49] * 5)[:252],
]

BAD = [
    "plain",
    "@",
    "@example.com",
    "a@",
    "a@b@c",
    "a b@example.com",
    " a@example.com",
    "a@example.com ",
    "a@exa mple.com",
    "<a@example.com>",
    "Name <a@example.com>",
    "a@example.com, b@example.com",
    "a@example.com;b@example.com",
    "a@example.com>",
    "a@example.com\r\nRCPT TO:<x@example.com>",
    "a@example.com\n",
    "\na@example.com",
    "a\r@example.com",
    "a\0@example.com",
    "a\x7f@example.com",
    "a\u2028@example.com",
    "a\u0085@example.com",
    "a\t@example.com",
    '"a\tb"@example.com',
    '"a\nb"@example.com',
    '"a"b"@example.com',
    '"a\\"@example.com',
    'a"b"@example.com',
    '"open@example.com',
    ".a@example.com",
    "a.@example.com",
    "a..b@example.com",
    "a(comment)@example.com",
    "a,b@example.com",
    "a:b@example.com",
    "a[b]@example.com",
    "a\\b@example.com",
    "a@.example.com",
    "a@example..com",
    "a@example.com.",
    "a@-example.com",
    "a@example-.com",
    "a@exa_mple.com",
    "a@exa!mple.com",
    "a@" + "b" * 64 + ".com",
    "a" * 65 + "@example.com",
    "ü" * 33 + "@example.com",
    "a@" + ".".join(["b" * 60] * 5),
    "a@[192.0.2.256]",
    "a@[192.0.2]",
    "a@[192.0.2.1",
    "a@[2001:db8::1]",
    "a@[IPv6:192.0.2.1]",
    "a@[IPv6:fe80::1%eth0]",
    "a@[example.com]",
    "a@[]",
    "a\u00a0b@example.com",
    "a\u3000b@example.com",
    "a\ud800b@example.com",
    "a@mün chen.de",
    "a@mün\u200b..de",
    "a@\u2603\u2603.-",
    "a@münchen.de.",
    "a@ü" + "x" * 70 + ".de",
    "@relay.example:a@example.com",
    "a%b",
    "mailto:a@example.com",
]


@pytest.mark.parametrize("address", GOOD, ids=ascii)
def test_addresses_of_the_form_of_rfc_5321_pass_unchanged(address: str) -> None:
    """An ASCII address is kept to the letter, on the wire too."""
    accepted = EmailAddress(address=address)

    assert (accepted.address, accepted.wire) == (address, address)
    assert not accepted.needs_smtputf8


@pytest.mark.parametrize("address", BAD, ids=ascii)
def test_anything_else_is_refused_with_its_code(address: str) -> None:
    """A bad address raises 1300 with the reply a server would give, and is not repeated anywhere."""
    with pytest.raises(SmtpCommandException) as caught:
        EmailAddress(address=address)

    error = caught.value
    assert (error.error_code, error.smtp_code, error.enhanced_code) == (1300, 501, "5.1.3")
    assert error.facts["property"] == "Address"
    assert not error.retryable


def test_there_are_many_bad_addresses() -> None:
    """The list above stays long, and each entry is there once."""
    assert len(set(BAD)) == len(BAD) > 40


@pytest.mark.parametrize(
    ("address", "wire"),
    [
        ("a@münchen.de", "a@xn--mnchen-3ya.de"),
        ("a@MÜNCHEN.DE", "a@xn--mnchen-3ya.de"),
        ("a@faß.de", "a@xn--fa-hia.de"),
        ("a@例え.jp", "a@xn--r8jz45g.jp"),
        ("a@例え。jp", "a@xn--r8jz45g.jp"),
        ("a@\uff45xample.com", "a@example.com"),
    ],
)
def test_international_domains_travel_as_a_labels(address: str, wire: str) -> None:
    """By UTS 46 without its transitional rules: no server has to know more than ASCII."""
    accepted = EmailAddress(address=address)

    assert (accepted.address, accepted.wire, accepted.domain) == (address, wire, wire.partition("@")[2])
    assert not accepted.needs_smtputf8


@pytest.mark.parametrize("address", ["ü@example.com", "用户@例え.jp", '"ü x"@example.com'])
def test_a_local_part_beyond_ascii_needs_smtputf8(address: str) -> None:
    """Only the local part decides: a domain always has an ASCII form."""
    accepted = EmailAddress(address=address)

    assert accepted.needs_smtputf8
    assert accepted.domain.isascii()


def test_null_and_empty_are_told_apart() -> None:
    """A null address and an empty one are the block's two different errors."""
    with pytest.raises(PropertyNullException) as null:
        EmailAddress.accept({"Name": "x", "Address": None})
    with pytest.raises(PropertyNullException):
        EmailAddress.accept({"Name": "x"})
    with pytest.raises(PropertyEmptyException) as empty:
        EmailAddress.accept({"Name": "x", "Address": ""})

    assert (null.value.error_code, empty.value.error_code) == (1002, 1003)


def test_a_plain_string_stands_for_an_address() -> None:
    """A name is optional, and so is the object around a bare address."""
    assert EmailAddress.accept("a@example.com") == EmailAddress(address="a@example.com", name=None)


@pytest.mark.parametrize("name", ["a\nb", "a\rb", "a\0b", "a\u2028b", "\x1b[31m", "a\ud800"], ids=ascii)
def test_names_with_control_characters_are_refused(name: str) -> None:
    """A name becomes part of a header."""
    with pytest.raises(ArgumentException) as caught:
        EmailAddress(address="a@example.com", name=name)

    assert (caught.value.facts["property"], caught.value.reason) == ("Name", "control_characters")


def test_a_name_has_a_longest_length() -> None:
    """At the limit it passes, one more is refused with the limit."""
    EmailAddress(address="a@example.com", name="x" * MOST_NAME_CHARACTERS)
    with pytest.raises(ArgumentException) as caught:
        EmailAddress(address="a@example.com", name="x" * (MOST_NAME_CHARACTERS + 1))

    assert (caught.value.reason, caught.value.facts["limit"]) == ("too_long", MOST_NAME_CHARACTERS)


@given(st.text(max_size=80), st.text(max_size=80))
def test_nothing_that_could_break_a_command_gets_onto_the_wire(local: str, domain: str) -> None:
    """Whatever is accepted has no line end, no bracket around it and no blank outside quotes."""
    wire = to_wire(f"{local}@{domain}")

    if wire is not None:
        assert not set(wire) & {"\r", "\n", "\0", "\t"}
        assert wire.startswith('"') or not set(wire) & set(' <>,;:\\"()'), wire
        assert wire.rpartition("@")[2].isascii()
        assert len(wire.encode()) <= 254


@given(st.text(string.ascii_letters + string.digits + "-.", max_size=30))
def test_ascii_domains_are_never_changed(domain: str) -> None:
    """An ASCII domain is accepted as it is or not at all."""
    assert a_label(domain) in {domain, None}


@pytest.mark.parametrize(
    ("host", "form"),
    [
        ("smtp.gmail.com", "smtp.gmail.com"),
        ("192.0.2.1", "192.0.2.1"),
        ("[::1]", "::1"),
        ("2001:DB8:0:0:0:0:0:1", "2001:db8::1"),
        ("münchen.de", "xn--mnchen-3ya.de"),
        ("my_machine", "my_machine"),
    ],
)
def test_a_host_has_one_form(host: str, form: str) -> None:
    """However a host is written, sessions and passwords know it by one form."""
    assert host_form(host) == form


def test_a_name_in_the_address_is_told_where_to_go() -> None:
    """The usual mistake has a line of its own."""
    with pytest.raises(SmtpCommandException) as caught:
        EmailAddress.accept("Ann <ann@example.com>")

    assert str(caught.value).endswith("(user@example.com). Give the address alone; a name goes into Name.")
