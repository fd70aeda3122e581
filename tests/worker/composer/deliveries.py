"""Deliveries to compose, made through the contract as a producer would; and text that tempts a careless composer."""

from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from postroom_contract.attachment import Attachment
from postroom_contract.delivery import Delivery
from postroom_worker.composer import compose

ACCEPTED_AT = datetime(2026, 11, 22, 9, 5, 7, tzinfo=UTC)
DELIVERY_ID = "3f0f3a52-52d0-4c07-9a3a-d34db33f0001"

# What has been turned into header lines, lost commas and second recipients elsewhere (CVE-2024-6923, CVE-2025-1795,
# CVE-2026-1299), and characters that sit on an edge of some encoding.
TEMPTING = [
    *("=?utf-8?q?=0ABcc:?=", "=?UTF-8?Q?=0D=0ABcc:_injected@example.com?=", "=?utf-8?b?DQpCY2M6IHhAeS56?=", "=?", "?="),
    *("Bcc: x@y.z", "<evil@x.y>", ", ", ";", ":", '"', "\\", '\\"', "(", ")", "@", "  ", "\t", "From ", "--=_", "."),
    *(
        "\u00a0",
        "\u3000",
        "\u202e",
        "\u200d",
        "\ufeff",
        "e\u0301",
        "ß",
        "Ж",
        "漢",
        "💩",
        "👩‍👩‍👧",
        "\U0010ffff",
        "=20",
        "%0A",
    ),
]
_LINE_SEPARATORS = "\u2028\u2029"


def one_line(max_pieces: int = 20) -> st.SearchStrategy[str]:
    """Any text that the contract takes for a header, tempting pieces included."""
    letters = st.characters(exclude_categories=["Cc", "Cs"], exclude_characters=_LINE_SEPARATORS)
    pieces = st.one_of(st.sampled_from(TEMPTING), st.text(letters, max_size=12), st.text("ab c.,", max_size=12))
    return st.lists(pieces, max_size=max_pieces).map("".join)


def body_text() -> st.SearchStrategy[str]:
    """Any text that the contract takes for a body, with line ends of every kind and control characters."""
    letters = st.characters(exclude_categories=["Cs"])
    line_ends = st.sampled_from(
        ["\n", "\r", "\r\n", "\n.\n", "\r\n.\r\n", "\n\nFrom me", "\x00", "\x0b", " \n", "\t\n", "a" * 75]
    )
    pieces = st.one_of(
        st.sampled_from(TEMPTING), line_ends, st.text(letters, max_size=30), st.text("ab c", max_size=90)
    )
    return st.lists(pieces, max_size=20).map("".join)


def delivery_of(**message: Any) -> Delivery:
    """A delivery of a message, always with the same id and time; what is not given is filled in."""
    return Delivery.accept(
        {
            "id": DELIVERY_ID,
            "accepted_at": ACCEPTED_AT,
            "message": {"to": "recipient@example.com", "from_": "sender@example.org", **message},
            "session": {"ServerDetails": {"Host": "localhost", "Port": 25}, "Credentials": {"Anonymous": True}},
        }
    )


def composed(**message: Any) -> bytes:
    """The mail that such a delivery becomes, with the contents of its attachments."""
    delivery = delivery_of(**message)
    return compose(delivery, [content_of(attachment) for attachment in delivery.message.attachments])


def content_of(attachment: Attachment) -> bytes:
    """What an attachment holds that travels with the message."""
    assert attachment.content is not None
    return attachment.content
