"""What is understood of a reply to EHLO."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postroom_worker.smtp.extensions import Extensions
from postroom_worker.smtp.reply import Reply


def announced(*lines: str) -> Extensions:
    """Read an EHLO reply with these keywords."""
    return Extensions.from_reply(Reply(250, None, "\n".join(("mail.example says hello", *lines))))


def test_a_full_reply_is_read() -> None:
    """All that is used is found, in any case."""
    found = announced(
        "pipelining", "Size 1000", "STARTTLS", "8BITMIME", "SMTPUTF8", "AUTH PLAIN login", "LIMITS MAILMAX=7 RCPTMAX=50"
    )

    assert found == Extensions(
        pipelining=True,
        starttls=True,
        smtputf8=True,
        eight_bit_mime=True,
        announces_size=True,
        largest_message=1000,
        auth_mechanisms=frozenset({"PLAIN", "LOGIN"}),
        most_recipients=50,
        most_messages=7,
    )


def test_the_first_line_is_no_keyword() -> None:
    """A server named after an extension does not offer it."""
    assert Extensions.from_reply(Reply(250, None, "STARTTLS")) == Extensions()


@pytest.mark.parametrize(("line", "limit"), [("SIZE", None), ("SIZE 0", None), ("SIZE x", None), ("SIZE 5", 5)])
def test_size_may_have_no_limit(line: str, limit: int | None) -> None:
    """RFC 1870 section 4: zero, or no number, sets none."""
    found = announced(line)

    assert found.announces_size
    assert found.largest_message == limit


def test_both_forms_of_auth_are_read() -> None:
    """Old servers write `AUTH=`; some send both lines."""
    assert announced("AUTH=LOGIN", "AUTH PLAIN").auth_mechanisms == {"LOGIN", "PLAIN"}


@settings(deadline=None)
@given(st.text(max_size=200))
def test_any_text_is_read(text: str) -> None:
    """Whatever a server announces, reading it does not fail."""
    Extensions.from_reply(Reply(250, None, text))
