"""The AUTH exchanges: what is asked, what is understood, what is refused."""

import asyncio
import base64

import pytest

from postroom.testing.smtp_auth import READERS, ExchangeRefused, encode_challenge


def encode(text: str) -> bytes:
    """Return base64, as AUTH lines are."""
    return base64.b64encode(text.encode())


def exchange(mechanism: str, initial: bytes, *answers: bytes) -> tuple[tuple[str, str], list[bytes]]:
    """Return what was understood, and the challenges that were sent."""
    challenges: list[bytes] = []
    waiting = list(answers)

    async def ask(challenge: bytes) -> bytes:
        challenges.append(challenge)
        return waiting.pop(0)

    async def read() -> tuple[str, str]:
        return await READERS[mechanism](initial, ask)

    understood = asyncio.run(read())
    assert not waiting
    return understood, challenges


def test_plain_with_an_initial_response_asks_nothing() -> None:
    """Identity, user name and password come in one."""
    assert exchange("PLAIN", encode("\0user\0sëcret")) == (("user", "sëcret"), [])


def test_plain_without_one_sends_an_empty_challenge() -> None:
    """The client answers `334 ` with what it could have sent at once."""
    assert exchange("PLAIN", b"", encode("admin\0user\0secret")) == (("user", "secret"), [b""])


def test_login_asks_for_one_after_the_other() -> None:
    """User name, then password."""
    asked = exchange("LOGIN", b"", encode("user"), encode("secret"))

    assert asked == (("user", "secret"), [b"Username:", b"Password:"])


def test_login_takes_the_user_name_as_initial_response() -> None:
    """Then only the password is asked for."""
    assert exchange("LOGIN", encode("user"), encode("secret")) == (("user", "secret"), [b"Password:"])


@pytest.mark.parametrize(
    ("initial", "reply"),
    [(b"*", "501 5.7.0"), (b"!", "501 5.5.2"), (b"/w==", "501 5.5.2"), (encode("\0user"), "501 5.5.2"), (b"=", "501")],
)
def test_what_is_no_answer_is_refused(initial: bytes, reply: str) -> None:
    """A cancelled exchange, broken base64, not UTF-8, too few fields, an empty response."""
    with pytest.raises(ExchangeRefused, match=f"^{reply}"):
        exchange("PLAIN", initial)


def test_a_challenge_is_base64() -> None:
    """RFC 4954 §4: 334, a blank, base64."""
    assert encode_challenge(b"Username:") == "334 VXNlcm5hbWU6"
    assert encode_challenge(b"") == "334 "
