"""The server's part of AUTH PLAIN and AUTH LOGIN (RFC 4954, RFC 4616): challenges out, user name and password in.

The password is handed to the caller for one comparison and is kept nowhere. Called by `smtp_session`, which decides
whether AUTH is allowed at all and answers at the end.
"""

import base64
import binascii
from collections.abc import Awaitable, Callable

# Sends one challenge, returns the client's answer: a line of base64.
Ask = Callable[[bytes], Awaitable[bytes]]


class ExchangeRefused(Exception):
    """The exchange broke off; its text is the reply."""


async def read_plain(initial: bytes, ask: Ask) -> tuple[str, str]:
    """Return user name and password of a PLAIN exchange: authorization identity, NUL, user name, NUL, password."""
    fields = _decode(initial or await ask(b"")).split("\0")
    if len(fields) != 3:  # noqa: PLR2004 -- RFC 4616 §2
        raise ExchangeRefused("501 5.5.2 PLAIN wants three fields")
    return fields[1], fields[2]


async def read_login(initial: bytes, ask: Ask) -> tuple[str, str]:
    """Return user name and password of a LOGIN exchange, which asks for one after the other."""
    username = _decode(initial or await ask(b"Username:"))
    return username, _decode(await ask(b"Password:"))


READERS: dict[str, Callable[[bytes, Ask], Awaitable[tuple[str, str]]]] = {"PLAIN": read_plain, "LOGIN": read_login}


def encode_challenge(challenge: bytes) -> str:
    """Return the reply line that carries a challenge."""
    return f"334 {base64.b64encode(challenge).decode('ascii')}"


def _decode(answer: bytes) -> str:
    if answer == b"*":
        raise ExchangeRefused("501 5.7.0 Cancelled")
    if answer == b"=":  # an empty initial response, RFC 4954 §4
        return ""
    try:
        return base64.b64decode(answer, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise ExchangeRefused("501 5.5.2 Not base64 of UTF-8") from error
