"""Address lists: display names of every kind, folds that lose no comma, and mailboxes as they go over the wire."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom_contract.address import EmailAddress
from postroom_worker.composer.addresses import mailboxes
from postroom_worker.composer.fields import PREFERRED_LINE, fold
from tests.worker.composer.deliveries import composed, one_line
from tests.worker.composer.readers import Reader


@pytest.mark.parametrize(
    ("name", "written"),
    [
        (None, "a@example.com"),
        ("", "a@example.com"),
        ("  ", "a@example.com"),
        ("Ann Lee", "Ann Lee <a@example.com>"),
        ("Ann  Lee", '"Ann  Lee" <a@example.com>'),
        ("Lee, Ann", '"Lee, Ann" <a@example.com>'),
        ("A. Lee", '"A. Lee" <a@example.com>'),
        ('Ann "the\\pen" Lee', '"Ann \\"the\\\\pen\\" Lee" <a@example.com>'),
        ("b@example.net", '"b@example.net" <a@example.com>'),
        ("Änn", "=?utf-8?b?w4Rubg==?= <a@example.com>"),
        ("=?utf-8?q?x?=", "=?utf-8?b?PT91dGYtOD9xP3g/PQ==?= <a@example.com>"),
        ("a\tb", "=?utf-8?b?YQli?= <a@example.com>"),
    ],
)
def test_display_name_is_written_in_the_plainest_safe_way(name: str | None, written: str) -> None:
    """Atoms where they do, a quoted string for specials, encoded words for the rest."""
    assert fold(mailboxes("To", [EmailAddress(name=name, address="a@example.com")])) == f"To: {written}"


def test_no_address_at_all_is_an_empty_group() -> None:
    """RFC 5322 knows no empty list of addresses."""
    assert fold(mailboxes("To", [])) == "To: undisclosed-recipients:;"


@pytest.mark.parametrize(
    ("address", "written"),
    [
        ("info@bücher.example", "info@xn--bcher-kva.example"),
        ("jürgen@bücher.example", "jürgen@xn--bcher-kva.example"),
        ('"a,b"@example.com', '"a,b"@example.com'),
        ("a@[192.0.2.1]", "a@[192.0.2.1]"),
    ],
)
def test_mailbox_is_written_as_it_goes_over_the_wire(address: str, written: str) -> None:
    """International domains as A-labels, local parts untouched and never encoded."""
    assert fold(mailboxes("To", [EmailAddress(address=address)])) == f"To: {written}"
    assert fold(mailboxes("To", [EmailAddress(name="Ü", address=address)])).endswith(f"?= <{written}>")


def test_list_is_folded_after_commas_only() -> None:
    """Each line but the last ends with its comma, and no name is cut."""
    people = [EmailAddress(name=f"Person, Number {n}", address=f"p{n}@example.com") for n in range(100)]

    *lines, last = fold(mailboxes("To", people)).split("\r\n")

    assert lines
    assert all(line.endswith(">,") and len(line) <= PREFERRED_LINE for line in lines)
    assert last.endswith(">")


def test_encoded_name_is_folded_between_its_words() -> None:
    """No line with an encoded word is longer than RFC 2047 allows, and the mailbox stays whole."""
    written = fold(mailboxes("Reply-To", [EmailAddress(name="Ü" * 300, address=f"{'a' * 60}@example.com")]))

    assert all(len(line) <= PREFERRED_LINE for line in written.split("\r\n"))
    assert written.startswith("Reply-To: =?utf-8?b?")
    assert written.endswith(f"\r\n <{'a' * 60}@example.com>")


@given(names=st.lists(one_line(max_pieces=8).map(lambda name: name[:320]), min_size=1, max_size=8))
def test_every_recipient_is_read_back(read: Reader, names: list[str]) -> None:
    """Whatever the names are, a reader finds as many mailboxes as there were, in order, each with its name."""
    people = [{"name": name, "address": f"p{n}@example.com"} for n, name in enumerate(names)]

    found = read(composed(to=people, cc=people)).to

    assert [address for _, address in found] == [person["address"] for person in people]
    assert [_letters(name) for name, _ in found] == [_letters(name) for name in names]


def test_thousand_recipients_are_read_back(read: Reader) -> None:
    """The longest list the contract takes loses nobody."""
    people = [{"name": f"Nr. {n}, Ü" if n % 2 else None, "address": f"p{n}@example.com"} for n in range(1000)]

    assert [address for _, address in read(composed(to=people)).to] == [person["address"] for person in people]


def test_non_ascii_local_part_is_read_back(read: Reader) -> None:
    """RFC 6532: the header is UTF-8 then, and only there. A reader may show the domain in its own script again."""
    raw = composed(to={"name": "Jürgen", "address": "jürgen@bücher.example"}, subject="Grüße", body="Grüße")

    mail = read(raw)
    assert mail.to in ([("Jürgen", "jürgen@xn--bcher-kva.example")], [("Jürgen", "jürgen@bücher.example")])
    assert (mail.subject, mail.text, mail.defects) == ("Grüße", "Grüße", [])
    assert raw.replace("jürgen@".encode(), b"").isascii()


def _letters(name: str) -> str:
    """A name without its white space: the standard library keeps some that stands between encoded words."""
    return "".join(name.split())
