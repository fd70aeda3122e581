"""Logging in: one AUTH command for one wrong password, and every answer in its class."""

import asyncio
import base64
import hmac

import pytest

from postroom.testing import CertificateKit, SmtpServer, at
from postroom_contract.errors import EmailSessionException, IOException, PostroomError
from postroom_worker.smtp import Access
from postroom_worker.smtp.auth import _cram_md5, _login, _plain, judge, log_in, mechanisms
from postroom_worker.smtp.extensions import Extensions
from postroom_worker.smtp.reply import Reply
from tests.worker.smtp.peer import WAIT_S, connected
from tests.worker.smtp.sending import USER, USERS, access_to, fail_to_open, open_to

ACCESS = Access("mail.example", 465, **USER)


def told(error: PostroomError | None) -> tuple[int, str | None, bool] | None:
    """Return what decides about a retry."""
    return None if error is None else (error.error_code, error.reason, error.retryable)


def auths(server: SmtpServer) -> list[str]:
    """Return the AUTH commands that a server saw."""
    return [command for seen in server.connections for command in seen.commands if command.startswith("AUTH")]


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
async def test_each_mechanism_logs_in(mechanism: str, trusted: CertificateKit) -> None:
    """With user name and password outside ASCII."""
    user, password = "jürgen", "pässwörd " * 3
    context = trusted.server_context()
    with SmtpServer(tls="implicit", ssl_context=context, users={user: password}, auth_mechanisms=[mechanism]) as server:
        session = await open_to(access_to(server, use_ssl=True, username=user, password=password))
        await session.quit()

        assert [(one.mechanism, one.username) for one in server.connections[0].auth_attempts] == [(mechanism, user)]


@pytest.mark.parametrize("reply", ["535 5.7.8 no", "535 no", "534 5.7.9 use an app password", "550 5.7.1 no"])
async def test_one_wrong_password_is_one_command(reply: str, trusted: CertificateKit) -> None:
    """Whatever else is offered: accounts get locked by retries. The connection ends with QUIT."""
    rules = [at("AUTH").reply(reply)]
    with SmtpServer(rules=rules, tls="implicit", ssl_context=trusted.server_context(), users=USERS) as server:
        error = await fail_to_open(access_to(server, use_ssl=True, **USER))

        assert auths(server) == ["AUTH PLAIN ****"]
        assert server.connections[0].verbs[-1] == "QUIT"
    assert isinstance(error, EmailSessionException)
    assert told(error) == (300, None, False)
    assert error.category == "UserCredentials"
    assert error.smtp_code == int(reply[:3])
    assert "secret" not in f"{error.facts} {error}"


@pytest.mark.parametrize("code", [500, 501, 502, 504, 553])
async def test_trouble_with_a_mechanism_tries_the_next(code: int, trusted: CertificateKit) -> None:
    """Seen in the wild: PLAIN is announced and refused, LOGIN works."""
    rules = [at("AUTH").matching("PLAIN").reply(f"{code} 5.5.4 not this way")]
    with SmtpServer(rules=rules, tls="implicit", ssl_context=trusted.server_context(), users=USERS) as server:
        session = await open_to(access_to(server, use_ssl=True, **USER))
        await session.quit()

        assert auths(server) == ["AUTH PLAIN ****", "AUTH LOGIN"]


async def test_when_no_mechanism_is_left_it_is_300(trusted: CertificateKit) -> None:
    """Each was tried once."""
    rules = [at("AUTH").reply("504 5.5.4 not this way")]
    with SmtpServer(rules=rules, tls="implicit", ssl_context=trusted.server_context(), users=USERS) as server:
        error = await fail_to_open(access_to(server, use_ssl=True, **USER))

        assert len(auths(server)) == 2
    assert told(error) == (300, "auth_mechanism", False)


@pytest.mark.parametrize(
    ("offer", "reason"), [({"auth_mechanisms": ["NTLM"]}, "auth_mechanism"), ({"users": {}}, "auth_not_offered")]
)
async def test_without_a_common_mechanism_nothing_is_sent(
    offer: dict[str, object], reason: str, trusted: CertificateKit
) -> None:
    """Neither the password nor a guess."""
    settings: dict[str, object] = {"users": USERS} | offer
    with SmtpServer(tls="implicit", ssl_context=trusted.server_context(), **settings) as server:  # type: ignore[arg-type]
        error = await fail_to_open(access_to(server, use_ssl=True, **USER))

        assert auths(server) == []
    assert told(error) == (300, reason, False)


async def test_a_server_that_cannot_check_now_is_asked_later(trusted: CertificateKit) -> None:
    """454: no other mechanism, and no verdict on the password."""
    rules = [at("AUTH").reply("454 4.7.0 Temporary authentication failure")]
    with SmtpServer(rules=rules, tls="implicit", ssl_context=trusted.server_context(), users=USERS) as server:
        error = await fail_to_open(access_to(server, use_ssl=True, **USER))

        assert len(auths(server)) == 1
    assert told(error) == (300, "auth_temporary", True)


@pytest.mark.parametrize("ending", [at("AUTH").drop(), at("AUTH").reset(), at("AUTH").reply_then_close("421 bye")])
async def test_a_connection_lost_in_auth_may_be_tried_again(ending: object, trusted: CertificateKit) -> None:
    """It says nothing about the password."""
    with SmtpServer(
        rules=[ending],  # type: ignore[list-item]
        tls="implicit",
        ssl_context=trusted.server_context(),
        users=USERS,
    ) as server:
        error = await fail_to_open(access_to(server, use_ssl=True, **USER))

    assert isinstance(error, IOException)
    assert told(error) == (1200, "disconnected", True)
    assert error.facts["phase"] == "auth"


async def test_a_challenge_that_never_ends_is_given_up() -> None:
    """More questions than the mechanism has: `*` ends the exchange, and the next mechanism is tried."""
    async with connected() as (connection, peer):
        extensions = Extensions(auth_mechanisms=frozenset({"PLAIN", "LOGIN"}))
        logging_in = asyncio.ensure_future(log_in(connection, extensions, ACCESS, WAIT_S))
        heard = []
        for reply in (b"334 more", b"501 5.7.0 cancelled", b"334 VXNlcm5hbWU6", b"334 UGFzc3dvcmQ6", b"235 2.7.0 in"):
            heard.append((await peer.hear()).split(b" ")[0])
            await peer.say(reply + b"\r\n")
        await logging_in

    assert heard == [b"AUTH", b"*\r\n", b"AUTH", b"dXNlcg==\r\n", b"c2VjcmV0\r\n"]


async def test_a_challenge_that_cannot_be_read_is_given_up() -> None:
    """CRAM-MD5 with something that is no base64 behind the 334."""
    async with connected() as (connection, peer):
        extensions = Extensions(auth_mechanisms=frozenset({"CRAM-MD5"}))
        logging_in = asyncio.ensure_future(log_in(connection, extensions, ACCESS, WAIT_S))
        heard = []
        for reply in (b"334 a", b"501 5.7.0 cancelled"):
            heard.append(await peer.hear())
            await peer.say(reply + b"\r\n")
        with pytest.raises(EmailSessionException) as raised:
            await logging_in

    assert heard == [b"AUTH CRAM-MD5\r\n", b"*\r\n"]
    assert told(raised.value) == (300, "auth_mechanism", False)


@pytest.mark.parametrize(
    ("reply", "is_encrypted", "verdict"),
    [
        (Reply(538, "5.7.11"), False, (200, None, False)),
        (Reply(530, "5.7.0"), False, (200, None, False)),
        (Reply(538, "5.7.11"), True, (300, None, False)),
        (Reply(503, "5.5.1"), True, (300, "auth_not_offered", False)),
        (Reply(432, "4.7.12"), True, (300, None, False)),
        (Reply(432, "4.3.2"), True, (300, "auth_temporary", True)),
        (Reply(451), True, (300, "auth_temporary", True)),
        (Reply(421), True, (1200, "disconnected", True)),
        (Reply(504), True, None),
    ],
    ids=str,
)
def test_the_table_of_refusals(
    reply: Reply,
    is_encrypted: bool,  # noqa: FBT001
    verdict: tuple[int, str | None, bool] | None,
) -> None:
    """What each code means, with and without TLS; None lets another mechanism try."""
    assert told(judge(reply, ACCESS, is_encrypted=is_encrypted)) == verdict


def test_the_order_depends_on_tls() -> None:
    """In the clear, the mechanism that does not give the password away comes first; unknown ones never."""
    extensions = Extensions(auth_mechanisms=frozenset({"LOGIN", "PLAIN", "CRAM-MD5", "NTLM", "XOAUTH2"}))

    assert mechanisms(extensions, is_encrypted=True) == ["PLAIN", "LOGIN", "CRAM-MD5"]
    assert mechanisms(extensions, is_encrypted=False) == ["CRAM-MD5", "PLAIN", "LOGIN"]


def test_plain_is_one_line_if_it_fits() -> None:
    """RFC 4616; a line over 512 octets leaves the response to the next (RFC 4954 section 4)."""
    assert list(_plain("u", "p")) == [b"AUTH PLAIN " + base64.b64encode(b"\0u\0p")]
    long = "x" * 400
    assert list(_plain("u", long)) == [b"AUTH PLAIN", base64.b64encode(b"\0u\0" + long.encode())]


def test_login_sends_name_and_password_in_turn() -> None:
    """Whatever the prompts say."""
    exchange = _login("u", "p")

    assert [next(exchange), exchange.send("?"), exchange.send("?")] == [b"AUTH LOGIN", b"dQ==", b"cA=="]


def test_cram_md5_answers_the_challenge() -> None:
    """RFC 2195: user name and keyed digest."""
    exchange = _cram_md5("u", "p")
    assert next(exchange) == b"AUTH CRAM-MD5"

    answer = base64.b64decode(exchange.send(base64.b64encode(b"<1@mail.example>").decode()))

    assert answer == b"u " + hmac.new(b"p", b"<1@mail.example>", "md5").hexdigest().encode()
