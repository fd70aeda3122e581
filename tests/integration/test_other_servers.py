"""Postroom against servers that were not written for it: aiosmtpd, npm's smtp-server and a Postfix.

What holds for all of them stands here once and runs against each; what only one can show stands in `test_postfix` and
`test_smtp_sink`. A server that this machine lacks is skipped, but not where CI is set.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from email import message_from_bytes, policy

import pytest

from postroom import Partial, Sent
from postroom.testing import CertificateKit
from postroom_contract.error_codes import ErrorCode
from postroom_contract.errors import PostroomError
from postroom_worker.smtp import Access, SessionCache, Timeouts
from tests.conftest import require
from tests.support import npm_smtp_server, postfix
from tests.support.aiosmtpd_server import AiosmtpdServer
from tests.support.letters import ATTACHED, a_letter, access_to, clear_access_to, send, send_over, write
from tests.support.npm_smtp_server import NpmSmtpServer
from tests.support.other_server import (
    BUSY,
    CLOSING,
    GREYLISTED,
    LARGEST_MESSAGE_OCTETS,
    NOBODY,
    OtherServer,
    Way,
)
from tests.support.post import PASSWORD, USERNAME, Post, a_message
from tests.support.postfix import Postfix
from tests.support.smtp_tap import tap

ENCRYPTED = [Way.STARTTLS, Way.IMPLICIT]


@pytest.fixture(params=["aiosmtpd", "smtp-server", "Postfix"])
def server(request: pytest.FixtureRequest, certificates: CertificateKit) -> Iterator[OtherServer]:
    """Each of the servers, new for each test."""
    if request.param == "aiosmtpd":
        with AiosmtpdServer(certificates.server_context()) as aiosmtpd:
            yield aiosmtpd
    elif request.param == "smtp-server":
        require("npm's smtp-server", is_there=npm_smtp_server.is_there())
        with NpmSmtpServer(certificates) as npm:
            yield npm
    else:
        require("Postfix, and root to start it", is_there=os.geteuid() == 0 and postfix.program() is not None)
        with Postfix(certificates) as started:
            yield started


@pytest.fixture(autouse=True)
def _trusted(certificates: CertificateKit, monkeypatch: pytest.MonkeyPatch) -> None:
    """The servers' authority is trusted, as a user would do it."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.ca_file))


@pytest.mark.parametrize("way", Way)
def test_a_letter_arrives_to_the_byte(server: OtherServer, way: Way) -> None:
    """Envelope, header fields, text and attachment are on the other side what they were on this one."""
    letter = a_letter(
        to=["ann@there.example", {"Name": "Bob Müller", "Address": "bob@there.example"}],
        bcc=["blind@there.example"],
        subject="Grüße, Ж and 漢",
        body=".a dot first\n..two\n.\nthe last line",
        attachments=[{"Name": "scan ü.bin", "Content": ATTACHED}],
    )
    (report,) = send(access_to(server.ports, way), letter)

    (copy,) = server.wait_for_copies(1)
    recipients = ("ann@there.example", "bob@there.example", "blind@there.example")
    assert report.accepted == recipients
    assert copy.recipients in {recipients, tuple(sorted(recipients))}  # Postfix sorts them
    assert copy.sender == "clerk@example.com"
    # A relay puts a trace field on top and changes nothing else (RFC 5321 section 4.4).
    trace = copy.content.removesuffix(write(letter))
    assert trace != copy.content
    assert trace == b"" or trace.startswith(b"Received: ")
    parsed = message_from_bytes(copy.content, policy=policy.default)
    (attachment,) = parsed.iter_attachments()
    assert parsed["Subject"] == "Grüße, Ж and 漢"
    assert parsed["Message-ID"] == letter.message_id
    assert [mailbox.display_name for mailbox in parsed["To"].addresses] == ["", "Bob Müller"]
    assert "blind@there.example" not in copy.content.decode()
    assert attachment.get_filename() == "scan ü.bin"
    assert attachment.get_content() == ATTACHED


@pytest.mark.parametrize("way", ENCRYPTED)
def test_letters_share_a_session_that_ends_with_quit(server: OtherServer, way: Way) -> None:
    """Five letters: one connection, TLS, one login, five transactions, one QUIT."""
    reports = send(access_to(server.ports, way), *map(a_letter, range(5)))

    assert [(report.was_accepted, report.is_encrypted, report.is_authenticated) for report in reports] == [
        (True, True, True)
    ] * 5
    assert len(server.wait_for_copies(5)) == 5
    (visit,) = server.wait_for_visits(1)
    assert {verb: visit[verb] for verb in ("starttls", "auth", "mail", "data", "quit")} == {
        "starttls": int(way is Way.STARTTLS),
        "auth": 1,
        "mail": 5,
        "data": 5,
        "quit": 1,
    }


@pytest.mark.parametrize("way", ENCRYPTED)
def test_a_wrong_password_is_told(server: OtherServer, way: Way) -> None:
    """300 with the server's 535, and no message."""
    with pytest.raises(PostroomError) as told:
        send(access_to(server.ports, way, password="wrong"), a_letter())

    assert told.value.error_code == ErrorCode.INVALID_USER_CREDENTIALS
    assert (told.value.smtp_code, told.value.enhanced_code) == (535, "5.7.8")
    assert server.wait_for_copies(0) == []


def test_credentials_stay_here_where_tls_is_not_offered(server: OtherServer) -> None:
    """201 before AUTH: the password is not said in the clear."""
    access = Access("localhost", server.ports[Way.CLEAR], use_ssl=False, username=USERNAME, password=PASSWORD)
    with pytest.raises(PostroomError) as told:
        send(access, a_letter())

    assert (told.value.error_code, told.value.facts["reason"]) == (ErrorCode.SSL_UNSUPPORTED, "starttls_not_offered")
    (visit,) = server.wait_for_visits(1)
    assert (visit["auth"], visit["mail"], visit["quit"]) == (0, 0, 1)


def test_tls_at_the_wrong_door_is_told(server: OtherServer) -> None:
    """201 where TLS meets clear text, 200 where a client that waits for a greeting meets a server that waits for TLS."""
    implicit_at_clear = Access("localhost", server.ports[Way.CLEAR], use_ssl=True)
    clear_at_implicit = Access("localhost", server.ports[Way.IMPLICIT], use_ssl=False)
    told = []
    for access in (implicit_at_clear, clear_at_implicit):
        with pytest.raises(PostroomError) as error:
            send(access, a_letter(), timeouts=Timeouts(silence_s=0.2))
        told.append((error.value.error_code, error.value.facts["reason"]))

    assert told == [(ErrorCode.SSL_UNSUPPORTED, "tls_not_offered"), (ErrorCode.SSL_REQUIRED, "implicit_tls")]


def test_an_address_in_utf_8_arrives(server: OtherServer) -> None:
    """SMTPUTF8 in the envelope and in the header (RFC 6531, RFC 6532)."""
    (report,) = send(access_to(server.ports, Way.CLEAR), a_letter(to=["jörg@there.example"]))

    (copy,) = server.wait_for_copies(1)
    assert report.accepted == copy.recipients == ("jörg@there.example",)
    assert "To: jörg@there.example\r\n".encode() in copy.content


def test_commands_are_pipelined_where_the_server_says_so(server: OtherServer) -> None:
    """MAIL, every RCPT and DATA in one go; one by one where the server announces no PIPELINING."""
    letter = a_letter(to=["ann@there.example", "bob@there.example"])

    async def send_tapped() -> list[list[str]]:
        async with tap(server.ports[Way.CLEAR]) as tapped:
            cache = SessionCache()
            try:
                await send_over(cache, clear_access_to(tapped.port), letter)
            finally:
                await cache.aclose()
        return tapped.verbs

    turns = asyncio.run(send_tapped())

    envelope = ["mail", "rcpt", "rcpt", "data"]
    assert turns[0] == ["ehlo"]
    assert turns[1:-2] == ([envelope] if server.pipelines else [[verb] for verb in envelope])
    assert turns[-2][-1] == "."
    assert turns[-1] == ["quit"]
    server.wait_for_copies(1)


def test_refused_recipients_are_told_with_the_servers_codes(server: OtherServer) -> None:
    """Permanent and temporary refusals stand by the recipients they are about; the others get the message."""
    letter = a_letter(to=["ann@there.example", NOBODY, BUSY, "bob@there.example"])
    (report,) = send(access_to(server.ports, Way.STARTTLS), letter)

    (copy,) = server.wait_for_copies(1)
    assert report.accepted == copy.recipients == ("ann@there.example", "bob@there.example")
    assert {who: (reply.code, reply.enhanced) for who, reply in report.refused.items()} == {
        NOBODY: (550, "5.1.1"),
        BUSY: (450, "4.2.1"),
    }
    assert "No such user" in report.refused[NOBODY].text


def test_a_letter_for_nobody_leaves_the_session_usable(server: OtherServer) -> None:
    """All recipients refused: nothing is sent, and the next letter goes over the same connection."""
    refused, accepted = send(access_to(server.ports, Way.CLEAR), a_letter(to=[NOBODY, BUSY]), a_letter(1))

    assert refused.never_sent
    assert set(refused.refused) == {NOBODY, BUSY}
    assert accepted.was_accepted
    (copy,) = server.wait_for_copies(1)
    assert copy.recipients == ("ann1@example.com",)
    (visit,) = server.wait_for_visits(1)
    assert (visit["mail"], visit["rset"], visit["quit"]) == (2, 1, 1)


def test_a_goodbye_in_the_middle_is_told_and_the_next_letter_is_sent(server: OtherServer) -> None:
    """421 to RCPT: nobody gets that letter, the connection is given up, the next letter opens another."""
    letters = [a_letter(to=["ann@there.example", CLOSING, "bob@there.example"]), a_letter(1)]
    broken, accepted = send(access_to(server.ports, Way.STARTTLS), *letters)

    assert broken.never_sent
    assert not broken.connection_usable
    goodbye = broken.recipients[CLOSING]
    assert goodbye is not None
    assert goodbye.code == 421
    assert accepted.was_accepted
    (copy,) = server.wait_for_copies(1)
    assert copy.recipients == ("ann1@example.com",)


def test_a_letter_beyond_the_announced_size_is_not_begun(server: OtherServer) -> None:
    """552 with the server's limit, before MAIL (RFC 1870 section 6.1)."""
    letter = a_letter(attachments=[{"Name": "large.bin", "Content": bytes(LARGEST_MESSAGE_OCTETS)}])
    with pytest.raises(PostroomError) as told:
        send(access_to(server.ports, Way.CLEAR), letter)

    assert told.value.error_code == ErrorCode.MESSAGE_TOO_LARGE
    assert (told.value.smtp_code, told.value.facts["limit"]) == (552, LARGEST_MESSAGE_OCTETS)
    (visit,) = server.wait_for_visits(1)
    assert (visit["mail"], visit["quit"]) == (0, 1)


def test_a_worker_delivers(server: OtherServer, post: Post) -> None:
    """The whole way: producer, Redis, worker, both kinds of TLS; a greylisted recipient is tried again when told."""
    (post.attachments / "scan.bin").write_bytes(ATTACHED)
    everybody = a_message(attachments=[str(post.attachments / "scan.bin")])
    mixed = a_message(1, to=["ann@there.example", NOBODY, GREYLISTED])
    starttls = post.session(server.ports[Way.STARTTLS], use_ssl=False)
    implicit = post.session(server.ports[Way.IMPLICIT])
    with post.worker("-c", "1"), post.mailer() as mailer:
        sent = mailer.send(everybody, implicit).outcome(timeout=30)
        partial = mailer.send(mixed, starttls).outcome(timeout=30)

    assert isinstance(sent, Sent)
    assert isinstance(partial, Partial)
    assert partial.attempts == 2
    assert sorted(partial.accepted) == ["ann@there.example", GREYLISTED]
    assert {who: (reply.code, reply.enhanced) for who, reply in partial.refused.items()} == {NOBODY: (550, "5.1.1")}
    copies = {copy.recipients: copy for copy in server.wait_for_copies(3)}
    assert set(copies) == {("ann0@example.com",), ("ann@there.example",), (GREYLISTED,)}
    arrived = message_from_bytes(copies["ann0@example.com",].content, policy=policy.default)
    (attachment,) = arrived.iter_attachments()
    assert attachment.get_content() == ATTACHED
