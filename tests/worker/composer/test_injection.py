"""Header injection: the tricks that worked on other composers, and every field filled with what might.

The five regressions are those of Python's own generator; each is named by its issue there.
"""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.worker.composer.deliveries import composed, one_line
from tests.worker.composer.readers import Reader

FIELDS = ["date", "from", "reply-to", "to", "cc", "subject", "message-id", "x-own", "comments", "mime-version"]


def test_subject_with_an_encoded_line_break_adds_no_header(read: Reader) -> None:
    """CVE-2024-6923, CVE-2026-1299: the words inside a text are text, and no Bcc appears."""
    subject = "A 💩 subject=?UTF-8?Q?=0D=0ABcc:_injected@example.com?= tail"

    mail = read(composed(subject=subject))

    assert mail.subject == subject
    assert "bcc" not in mail.header_names


def test_comma_between_addresses_survives_a_fold(read: Reader) -> None:
    """CVE-2025-1795: wherever the fold falls, two recipients stay two."""
    for length in range(30, 90):
        people = [{"name": "N" * length, "address": "a@example.com"}, {"name": "Ü" * 9, "address": "b@example.com"}]

        assert [address for _, address in read(composed(to=people)).to] == ["a@example.com", "b@example.com"]


def test_long_quoted_name_keeps_its_quotes(read: Reader) -> None:
    """gh-80222: an address inside a name stays part of the name."""
    name = "A name that is long enough to be folded, " * 3 + "<evil@x.y>, here"

    assert read(composed(to={"name": name, "address": "to@example.com"})).to == [(name, "to@example.com")]


def test_encoded_name_with_a_comma_stays_one_name(read: Reader) -> None:
    """gh-121284: a comma never leaves the encoded word."""
    name = "Müller, Jürgen, <evil@x.y>, " * 6 + "Ende"

    [(found, address)] = read(composed(to={"name": name, "address": "to@example.com"})).to

    assert "".join(found.split()) == "".join(name.split())
    assert address == "to@example.com"


def test_long_tokens_are_not_encoded() -> None:
    """gh-85725: message ids and URLs stand in the raw mail as they were given, however long."""
    message_id = f"<{'a' * 150}@example.com>"
    url = f"<https://example.com/{'b' * 150}>"

    raw = composed(headers={"In-Reply-To": message_id, "List-Unsubscribe": url})

    assert f"\r\nIn-Reply-To: {message_id}\r\nList-Unsubscribe: {url}\r\n".encode() in raw


def test_international_domain_is_an_a_label(read: Reader) -> None:
    """No encoded word inside an address; a reader may show the domain in its own script again."""
    raw = composed(to="info@bücher.example", from_="x@bücher.example")

    assert b"To: info@xn--bcher-kva.example\r\n" in raw
    assert read(raw).to in ([("", "info@xn--bcher-kva.example")], [("", "info@bücher.example")])


@given(
    texts=st.fixed_dictionaries(
        {
            **{name: one_line().map(lambda text: text[:320]) for name in ("from", "to", "cc", "reply_to", "file")},
            **{name: one_line(60) for name in ("subject", "own", "comments")},
        }
    )
)
def test_no_text_in_any_field_changes_the_list_of_headers(read: Reader, texts: dict[str, str]) -> None:
    """Both readers find exactly the fields that were asked for, one recipient in each list, and one file."""
    mail = read(_filled(texts))

    assert mail.header_names == [*FIELDS, "content-type"]
    assert [address for _, address in mail.sender + mail.to + mail.cc + mail.reply_to] == [
        *("from@example.org", "to@example.com", "cc@example.com", "reply@example.com")
    ]
    assert len(mail.files) == 1
    assert mail.defects == []


@given(subject=one_line(60))
def test_any_subject_is_read_back(read: Reader, subject: str) -> None:
    """Both readers show the subject as it was written."""
    assert read(composed(subject=subject)).subject.strip() == subject.strip()


def _filled(texts: dict[str, str]) -> bytes:
    def person(role: str, address: str) -> dict[str, Any]:
        return {"name": texts[role], "address": address}

    return composed(
        from_=person("from", "from@example.org"),
        to=person("to", "to@example.com"),
        cc=person("cc", "cc@example.com"),
        reply_to=person("reply_to", "reply@example.com"),
        subject=texts["subject"],
        headers={"X-Own": texts["own"], "Comments": texts["comments"]},
        attachments=[{"name": f"f{texts['file']}"[:60], "content": b"x"}],
    )
