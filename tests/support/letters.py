"""Letters for conformance tests, and their way through composer and session cache without worker or broker.

`send` is what a worker process does with deliveries of the same session details, one after the other: one cache, closed
at the end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from postroom_contract.delivery import Delivery
from postroom_contract.session import Anonymous, BasicEmailSessionDetails, ServerDetails
from postroom_worker.composer import compose
from postroom_worker.smtp import Access, Envelope, SessionCache, Timeouts, TransactionReport
from tests.support.other_server import Way
from tests.support.post import PASSWORD, USERNAME, a_message

# Every octet there is, what ends a message for one server or another, and enough to fill several segments.
ATTACHED = (bytes(range(256)) + b"\r\n.\r\n\n.\n\n.\r\n\r\n.\n\r.\r\x00\xff") * 200

_NOWHERE = BasicEmailSessionDetails(server_details=ServerDetails(host="localhost", port=25), credentials=Anonymous())


def a_letter(number: int = 0, **changes: Any) -> Delivery:
    """A delivery of a small message; `number` makes it tell itself from others, `changes` are the message's."""
    return Delivery(session=_NOWHERE, message=a_message(number, **changes))


def write(letter: Delivery) -> bytes:
    """The mail that a letter becomes."""
    return compose(letter, [attachment.content or b"" for attachment in letter.message.attachments])


def access_to(ports: Mapping[Way, int], way: Way, password: str = PASSWORD) -> Access:
    """How a worker gets into a server: as its user, or in the clear as nobody."""
    if way is Way.CLEAR:
        return clear_access_to(ports[way])
    return Access("localhost", ports[way], way is Way.IMPLICIT, username=USERNAME, password=password)


def clear_access_to(port: int) -> Access:
    """How a worker gets into a server without TLS and AUTH."""
    return Access("localhost", port, use_ssl=False, allow_cleartext=True)


def send(access: Access, *letters: Delivery, timeouts: Timeouts | None = None) -> list[TransactionReport]:
    """Send letters one after the other, and say goodbye."""

    async def send_all() -> list[TransactionReport]:
        cache = SessionCache(timeouts=timeouts)
        try:
            return [await send_over(cache, access, letter) for letter in letters]
        finally:
            await cache.aclose()

    return asyncio.run(send_all())


async def send_over(cache: SessionCache, access: Access, letter: Delivery) -> TransactionReport:
    """Send one letter over a cache."""
    message, content = letter.message, write(letter)
    envelope = Envelope(message.sender.wire, message.recipients, has_utf8_headers=not content.isascii())
    return await cache.send(access, envelope, content, on_commit=_nothing)


async def _nothing(_admitted: tuple[str, ...]) -> None:
    """Have nothing to note before the last octets leave."""
