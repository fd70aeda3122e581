"""Postroom against a Postfix that takes for the end of a message whatever anybody takes for it, and relays what it took.

What holds for every server stands in `test_other_servers`; here stands what only this one can show: smuggling, limits it
keeps to itself, and impatience. The messages are counted where it relays them to.
"""

from __future__ import annotations

import asyncio
import os
import smtplib
from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest

from postroom import Sent
from postroom.testing import CertificateKit
from postroom_contract.delivery import Delivery
from postroom_worker.smtp import Answer, SessionCache
from tests.conftest import require
from tests.support.letters import a_letter, clear_access_to, send, send_over
from tests.support.other_server import LARGEST_MESSAGE_OCTETS, Copy, Way
from tests.support.post import Post, a_message
from tests.support.postfix import Oddity, Postfix, program
from tests.support.waiting import wait_until, wait_until_async

# What one mail server or another has taken for the end of a message, and what only looks like it.
ENDS = [
    *("\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r\n.\r", "\r.\r\n", "\n.\r", "\r.\n", "\r\n.\r\n", "\r\n\r\n.\r\n\r\n"),
    *("\r\n\0.\r\n", "\r\n.\0\r\n", "\0\n.\n", "\u2028.\u2028", "\x85.\x85", "\x0b.\x0b", "\x0c.\x0c", "\r\r\n.\r\r\n"),
]
SMUGGLED = "MAIL FROM:<evil@there.example>\r\nRCPT TO:<victim@there.example>\r\nDATA\r\nSubject: Got you\r\n\r\nGot you"


@pytest.fixture
def postfix(certificates: CertificateKit) -> Iterator[Postfix]:
    """An instance of its own for each test."""
    require("Postfix, and root to start it", is_there=os.geteuid() == 0 and program() is not None)
    with Postfix(certificates) as started:
        yield started


def test_this_postfix_can_be_smuggled_through(postfix: Postfix) -> None:
    """The next test can fail: a client that passes a bare LF on delivers two messages instead of one."""
    with smtplib.SMTP("127.0.0.1", postfix.ports[Way.CLEAR]) as careless:
        careless.ehlo()
        careless.mail("clerk@example.com")
        careless.rcpt("ann@there.example")
        careless.docmd("DATA")
        careless.send(f"Subject: One\r\n\r\nHello\n.\n{SMUGGLED}\r\n.\r\n".encode())
        replies = [careless.getreply()[0] for _ in range(5)]

    assert replies == [250, 250, 250, 354, 250]
    assert {copy.recipients for copy in postfix.wait_for_copies(2)} == {
        ("ann@there.example",),
        ("victim@there.example",),
    }


def test_no_body_ends_before_its_end(postfix: Postfix) -> None:
    """Each letter is one message at the far end, whole, whatever its text, HTML or attachment holds."""
    hostile = [f"Hello{end}{SMUGGLED}{end}QUIT{end}" for end in ENDS]
    letters = [
        *(a_letter(body=body) for body in hostile),
        *(a_letter(body=body, body_format="Html") for body in hostile),
        *(a_letter(attachments=[{"Name": "a.txt", "Content": body.encode()}]) for body in hostile),
    ]
    reports = send(clear_access_to(postfix.ports[Way.CLEAR]), *letters)

    copies = postfix.wait_for_copies(len(letters))
    assert all(report.was_accepted for report in reports)
    assert {(copy.sender, *copy.recipients) for copy in copies} == {("clerk@example.com", "ann0@example.com")}
    arrived = {str(mail["Message-ID"]): mail for mail in map(_parse, copies)}
    assert set(arrived) == {letter.message_id for letter in letters}
    for body, as_text, as_html, as_file in zip(hostile, *_thirds(letters), strict=True):
        (attachment,) = arrived[as_file.message_id].iter_attachments()
        assert attachment.get_payload(decode=True) == body.encode()
        for letter in (as_text, as_html):
            payload = arrived[letter.message_id].get_payload(decode=True)
            assert isinstance(payload, bytes)
            assert _with_plain_line_ends(payload.decode()) == _with_plain_line_ends(body)
    (visit,) = postfix.wait_for_visits(1)
    assert (visit["mail"], visit["data"], visit["quit"]) == (len(letters), len(letters), 1)


def test_a_size_that_was_not_announced_is_refused_at_the_end(postfix: Postfix) -> None:
    """552 to the message itself, nobody gets it, and the session goes on."""
    large = a_letter(attachments=[{"Name": "large.bin", "Content": bytes(LARGEST_MESSAGE_OCTETS)}])
    refused, accepted = send(clear_access_to(postfix.oddities[Oddity.SILENT_ABOUT_SIZE]), large, a_letter(1))

    answer = refused.answer_for("ann0@example.com")
    assert isinstance(answer, Answer)
    assert (answer.command, answer.reply.code, answer.reply.enhanced) == (".", 552, "5.3.4")
    assert accepted.was_accepted
    (copy,) = postfix.wait_for_copies(1)
    assert copy.recipients == ("ann1@example.com",)
    (visit,) = postfix.wait_for_visits(1)
    assert (visit["mail"], visit["quit"]) == (2, 1)


@pytest.mark.parametrize("is_heard", [True, False], ids=["heard at once", "heard as the answer to MAIL"])
def test_a_session_ended_for_its_silence_is_replaced(postfix: Postfix, is_heard: bool) -> None:  # noqa: FBT001
    """`421 4.4.2` between two letters costs nothing: the second goes over a new connection."""
    access = clear_access_to(postfix.oddities[Oddity.IMPATIENT])

    def has_hung_up() -> bool:
        return "timeout after" in postfix.log

    async def send_with_a_pause() -> tuple[bool, int]:
        cache = SessionCache()
        try:
            await send_over(cache, access, a_letter(0))
            if is_heard:
                await wait_until_async(has_hung_up, 20)
            else:
                wait_until(has_hung_up, 20)  # this process is too busy to read
            report = await send_over(cache, access, a_letter(1))
            return report.was_accepted, cache.stats.opened
        finally:
            await cache.aclose()

    assert asyncio.run(send_with_a_pause()) == (True, 2)
    postfix.wait_for_copies(2)


def test_recipients_that_do_not_fit_go_into_further_transactions(postfix: Postfix, post: Post) -> None:
    """`452 4.5.3` to the third recipient: five of them take three transactions, one session and one attempt."""
    everybody = [f"ann{number}@there.example" for number in range(5)]
    session = post.session(postfix.oddities[Oddity.FOR_TWO], use_ssl=False, password=None)
    with post.worker("-c", "1"), post.mailer() as mailer:
        outcome = mailer.send(a_message(to=everybody), session).outcome(timeout=30)

    assert isinstance(outcome, Sent)
    assert (outcome.attempts, sorted(outcome.accepted)) == (1, everybody)
    copies = postfix.wait_for_copies(3)
    assert sorted(address for copy in copies for address in copy.recipients) == everybody
    (visit,) = postfix.wait_for_visits(1)
    assert (visit["mail"], visit["quit"]) == (3, 1)


def _parse(copy: Copy) -> EmailMessage:
    return message_from_bytes(copy.content, policy=policy.default)


def _thirds(letters: list[Delivery]) -> tuple[list[Delivery], list[Delivery], list[Delivery]]:
    third = len(letters) // 3
    return letters[:third], letters[third : 2 * third], letters[2 * third :]


def _with_plain_line_ends(text: str) -> str:
    """A text as its reader sees it: CRLF, CR and LF all end a line."""
    return text.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n")
