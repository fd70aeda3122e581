"""Key rings and sealed texts: what opens, what does not, and that no error shows a key."""

import base64
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom_contract.errors import PostroomError, SealException, SettingsException
from postroom_contract.sealing import SEALED_TEXT, Keyring, generate_key

OLD, NEW = b"o" * 32, b"n" * 32
PLACE = {"use": "payload", "id": "d1"}


def written(kid: str, key: bytes) -> str:
    """A key as it stands in a ring."""
    return f"{kid}:{base64.b64encode(key).decode()}"


@given(
    st.binary(max_size=300), st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5) | st.booleans())
)
def test_what_is_sealed_opens_in_its_place(plain: bytes, place: dict[str, object]) -> None:
    """Any bytes, bound to anything, come back; the written form is a single word."""
    ring = Keyring({"k1": NEW})
    sealed = ring.seal(plain, place)

    assert SEALED_TEXT.fullmatch(sealed)
    assert ring.open(sealed, dict(reversed(place.items()))) == plain


def test_the_same_text_never_seals_to_the_same() -> None:
    """A fresh nonce each time: equal passwords do not look equal."""
    ring = Keyring({"k1": NEW})

    assert len({ring.seal(b"x", PLACE) for _ in range(100)}) == 100


@pytest.mark.parametrize(
    "place",
    [{}, {**PLACE, "id": "d2"}, {**PLACE, "use": "outcome"}, {**PLACE, "more": 1}, {"use": "payload"}],
)
def test_another_place_does_not_open(place: dict[str, object]) -> None:
    """A sealed text that was moved is as good as tampered with."""
    ring = Keyring({"k1": NEW})
    with pytest.raises(SealException) as caught:
        ring.open(ring.seal(b"x", PLACE), place)

    assert (caught.value.reason, caught.value.error_code) == ("tampered", 1401)


def test_every_changed_character_is_noticed() -> None:
    """Whatever byte of a sealed text is changed, it does not open."""
    ring = Keyring({"k1": NEW})
    sealed = ring.seal(b"secret", PLACE)
    version, kid, body = sealed.split(".")
    raw = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
    for position in range(len(raw)):
        changed = bytearray(raw)
        changed[position] ^= 1
        again = base64.urlsafe_b64encode(changed).rstrip(b"=").decode()
        with pytest.raises(SealException) as caught:
            ring.open(f"{version}.{kid}.{again}", PLACE)
        assert caught.value.reason == "tampered"


def test_the_key_id_is_bound_too() -> None:
    """A text relabelled to another id of the same key does not open."""
    sealed = Keyring({"k1": NEW}).seal(b"x", PLACE)
    with pytest.raises(SealException) as caught:
        Keyring({"k2": NEW}).open(sealed.replace(".k1.", ".k2."), PLACE)

    assert caught.value.reason == "tampered"


def test_an_unknown_key_is_told_as_such() -> None:
    """A missing key is a mistake in the settings, not an attack."""
    sealed = Keyring({"old": OLD}).seal(b"x", PLACE)
    with pytest.raises(SealException) as caught:
        Keyring({"new": NEW}).open(sealed, PLACE)

    assert caught.value.reason == "unknown_key"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "secret",
        "v1.k1.",
        "v1.k1.short",
        "v2.k1." + "A" * 60,
        "v1.." + "A" * 60,
        "v1.k1." + "A" * 60 + "\n",
        "v1.k1." + "*" * 60,
    ],
)
def test_what_was_never_sealed_is_told_as_such(text: str) -> None:
    """Another form than ours is named, not tried."""
    with pytest.raises(SealException) as caught:
        Keyring({"k1": NEW}).open(text, PLACE)

    assert caught.value.reason == "not_sealed_text"


def test_text_of_an_impossible_length_is_tampered() -> None:
    """Base64 that lost a character is refused like any other change."""
    with pytest.raises(SealException) as caught:
        Keyring({"k1": NEW}).open("v1.k1." + "A" * 41, PLACE)

    assert caught.value.reason == "tampered"


def test_rotation() -> None:
    """The first key seals, all of them open: a new key goes first, the old one stays until its texts are gone."""
    before = Keyring({"old": OLD})
    during = Keyring.parse(f"{written('new', NEW)},{written('old', OLD)}")
    after = Keyring({"new": NEW})
    old_text, new_text = before.seal(b"x", PLACE), during.seal(b"y", PLACE)

    assert (during.first_id, during.ids) == ("new", ("new", "old"))
    assert during.open(old_text, PLACE) == b"x"
    assert after.open(new_text, PLACE) == b"y"
    with pytest.raises(SealException):
        before.open(new_text, PLACE)


@pytest.mark.parametrize("between", [",", " ", "\n", ", \n", ",,"])
def test_keys_of_a_ring_stand_between_commas_or_blanks(between: str) -> None:
    """A ring may be one line in a variable or a file with a line for each key."""
    text = f"\n{written('a', OLD)}{between}{written('b', NEW)}\n"

    assert Keyring.parse(text).ids == ("a", "b")


def test_keys_in_the_url_alphabet_are_taken_too() -> None:
    """Both alphabets of base64 write the same key."""
    key = bytes(range(224, 256))
    sealed = Keyring({"a": key}).seal(b"x", PLACE)

    assert Keyring.parse(f"a:{base64.urlsafe_b64encode(key).decode()}").open(sealed, PLACE) == b"x"


SECRET = base64.b64encode(b"topsecret" * 4).decode()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "at least one key"),
        (" , ", "at least one key"),
        (SECRET, "key 1 is not of the form kid:base64"),
        (SECRET[:32], "key 1 is not of the form kid:base64"),
        (f"{SECRET}:", "key 1 is not of the form kid:base64"),
        (f"{SECRET}:k1", "key 1"),
        (f":{SECRET}", "the id of key 1"),
        (f"kid with blank:{SECRET}", "key 1 is not of the form"),
        (f"ü:{written('x', NEW)}", "key 1"),
        ("k1:ü", "key 1 is not of the form"),
        (f"k1:{SECRET}", "key 1 has 36 bytes; a key has 32"),
        (f"k1:{SECRET[:-2]}", "key 1"),
        (f"{written('a', OLD)} {written('a', NEW)}", "key 2 has the id of an earlier one"),
        (f"{written('a', OLD)} {'k' * 33}:{base64.b64encode(NEW).decode()}", "the id of key 2"),
    ],
)
def test_a_malformed_ring_is_refused_without_showing_it(text: str, told: str) -> None:
    """The key at fault is told by its number: any part of the text may be a key in the wrong place."""
    with pytest.raises(SettingsException) as caught:
        Keyring.parse(text)

    shown = f"{caught.value} {caught.value!r} {caught.value.message} {caught.value.args}"
    assert told in shown
    assert not any(piece in shown for piece in (SECRET[:16], SECRET[-16:], "topsecret"))
    assert caught.value.error_code == 1402


def test_a_generated_key_makes_a_ring() -> None:
    """What `postroom keygen` prints can be used as it is; ids can be chosen."""
    assert Keyring.parse(generate_key("mine")).ids == ("mine",)
    assert generate_key() != generate_key()
    with pytest.raises(PostroomError, match="a key id is"):
        generate_key("not one")


def test_a_ring_shows_ids_only() -> None:
    """Neither the keys nor their base64 are in what is printed."""
    assert repr(Keyring({"a": OLD, "b": NEW})) == "Keyring(a, b)"
    assert str(Keyring({"a": OLD})) == "Keyring(a)"


def test_digests_are_one_for_each_key_the_sealing_one_first() -> None:
    """The same text gives the same hash, under an older key too, wherever that stands in the ring."""
    old, new, both = (Keyring(keys) for keys in ({"o": OLD}, {"n": NEW}, {"n": NEW, "o": OLD}))

    assert both.digests("text", "use") == (*new.digests("text", "use"), *old.digests("text", "use"))
    assert len(set(both.digests("text", "use"))) == 2
    assert {len(one) for one in both.digests("text", "use")} == {32}


@given(st.text(max_size=50), st.text(max_size=50))
def test_digests_of_other_texts_and_uses_differ(one: str, other: str) -> None:
    """An idempotency key that is spelled like a payload is not mistaken for it."""
    ring = Keyring({"k1": NEW})

    assert (ring.digests(one, "key") == ring.digests(other, "key")) == (one == other)
    assert ring.digests(one, "key") != ring.digests(one, "payload")


def test_a_digest_needs_the_key() -> None:
    """Neither a plain hash nor one by the sealing key itself: that key serves encryption alone."""
    (told,) = Keyring({"k1": NEW}).digests("text", "use")
    guesses = [hmac.digest(key, text, "sha256").hex() for key in (b"", NEW) for text in (b"text", b"use\ntext")]

    assert not any(guess.startswith(told) for guess in guesses)
