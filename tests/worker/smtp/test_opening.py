"""Opening a session on real servers: EHLO, TLS and clear text, and what never reaches the wire."""

import time

import pytest

from postroom.testing import CertificateKit, Rule, SmtpServer, at, free_port
from postroom_contract.errors import EmailSessionException, IOException, PostroomError, SmtpCommandException
from postroom_worker.smtp import Access, Limits, Timeouts
from postroom_worker.smtp.opening import open_session, reach
from tests.worker.smtp.sending import QUICK, USER, USERS, access_to, fail_to_open, open_to


def told(error: PostroomError) -> tuple[int, str | None, bool]:
    """Return what decides about a retry."""
    return error.error_code, error.reason, error.retryable


def verbs(server: SmtpServer) -> tuple[str, ...]:
    """Return all commands that a server saw."""
    return tuple(verb for seen in server.connections for verb in seen.verbs)


async def test_implicit_tls_is_encrypted_from_the_first_byte(trusted: CertificateKit) -> None:
    """EHLO, AUTH, and nothing in the clear."""
    context = trusted.server_context()
    with SmtpServer(tls="implicit", ssl_context=context, users=USERS) as server:
        session = await open_to(access_to(server, use_ssl=True, **USER))
        await session.quit()

        assert server.connections[0].tls_version in {"TLSv1.2", "TLSv1.3"}
        assert verbs(server) == ("EHLO", "AUTH", "QUIT")


async def test_a_server_that_hangs_up_behind_its_goodbye_breaks_nothing(trusted: CertificateKit) -> None:
    """What asyncio's TLS transport makes of a second close (it forgets its protocol) does not befall us."""
    with SmtpServer(tls="implicit", ssl_context=trusted.server_context()) as server:
        connection = (await open_to(access_to(server, use_ssl=True)))._connection
        await connection.quit(QUICK.quit_s)

        assert connection.is_encrypted
        connection.abort()


async def test_starttls_forgets_what_was_said_before(trusted: CertificateKit) -> None:
    """EHLO again: what the server offers inside TLS is what counts (RFC 3207 section 4.2)."""
    rules = [at("EHLO").when(lambda moment: not moment.is_encrypted).reply("250-x", "250-PIPELINING", "250 STARTTLS")]
    settings = {"tls": "starttls", "ssl_context": trusted.server_context(), "users": USERS, "extensions": ["SIZE 77"]}
    with SmtpServer(rules=rules, **settings) as server:  # type: ignore[arg-type]
        session = await open_to(access_to(server, **USER))
        await session.quit()

        assert verbs(server) == ("EHLO", "STARTTLS", "EHLO", "AUTH", "QUIT")
        assert (session.extensions.pipelining, session.extensions.largest_message) == (False, 77)


async def test_an_ip_address_is_verified_too(trusted: CertificateKit) -> None:
    """A certificate for 127.0.0.1 serves a host given as that number."""
    with SmtpServer(tls="implicit", ssl_context=trusted.server_context()) as server:
        session = await open_to(access_to(server, use_ssl=True, host="127.0.0.1"))
        await session.quit()


async def test_without_credentials_clear_text_is_allowed() -> None:
    """An anonymous relay without STARTTLS is used as it is."""
    with SmtpServer() as server:
        session = await open_to(server)
        await session.quit()

        assert verbs(server) == ("EHLO", "QUIT")
        assert server.connections[0].commands[0] == "EHLO client.example"


async def test_without_a_name_we_give_our_address() -> None:
    """RFC 5321 section 4.1.4: the literal of the connection's own end."""
    with SmtpServer() as server:
        session = await open_session(access_to(server), local_name=None, timeouts=Timeouts(), limits=Limits())
        await session.quit()

        assert server.connections[0].commands[0] == "EHLO [127.0.0.1]"


async def test_starttls_is_used_wherever_it_is_offered(trusted: CertificateKit) -> None:
    """Without credentials and with clear text allowed, too."""
    with SmtpServer(tls="starttls", ssl_context=trusted.server_context(), users=USERS) as server:
        for access in (access_to(server), access_to(server, allow_cleartext=True, **USER)):
            session = await open_to(access)
            await session.quit()

        assert all(seen.tls_version for seen in server.connections)


async def test_credentials_do_not_travel_in_clear_text() -> None:
    """STARTTLS stripped or never there: 201, and neither AUTH nor MAIL is on the wire."""
    with SmtpServer(users=USERS, allow_cleartext_auth=True) as server:
        error = await fail_to_open(access_to(server, **USER))

        assert told(error) == (201, "starttls_not_offered", False)
        assert verbs(server) == ("EHLO", "QUIT")


async def test_clear_text_needs_an_express_word() -> None:
    """`allow_cleartext` lets credentials through where the server offers no STARTTLS."""
    with SmtpServer(users=USERS, allow_cleartext_auth=True) as server:
        session = await open_to(access_to(server, allow_cleartext=True, **USER))
        await session.quit()

        assert verbs(server) == ("EHLO", "AUTH", "QUIT")


@pytest.mark.parametrize("allow_cleartext", [False, True])
@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (at("STARTTLS").reply("454 4.7.0 not now"), (201, "starttls_refused", True)),
        (at("STARTTLS").reply("502 5.5.1 no"), (201, "starttls_refused", False)),
        (at("STARTTLS").inject("250-evil", "250 AUTH PLAIN"), (201, "starttls_injection", False)),
        (at("STARTTLS").inject("421 4.3.2 evil"), (201, "starttls_injection", False)),
        (at("STARTTLS").send(b"220 go\r\n250-ev"), (201, "starttls_injection", False)),
        (at("TLS").drop(), (201, "handshake_failed", True)),
        (at("TLS").reset(), (201, "handshake_failed", True)),
        (at("TLS").stall(), (201, "timed_out", True)),
        (at("STARTTLS").drop(), (1200, "disconnected", True)),
    ],
    ids=str,
)
async def test_a_starttls_that_fails_is_never_gone_without(
    rule: Rule,
    expected: tuple[int, str, bool],
    allow_cleartext: bool,  # noqa: FBT001
    trusted: CertificateKit,
) -> None:
    """Refused, injected, garbage, broken off: not one octet of AUTH or MAIL is sent, whatever the session allows."""
    context = trusted.server_context()
    with SmtpServer(
        rules=[rule], tls="starttls", ssl_context=context, users=USERS, allow_cleartext_auth=True
    ) as server:
        error = await fail_to_open(access_to(server, allow_cleartext=allow_cleartext, **USER))

        assert told(error) == expected
        assert set(verbs(server)) <= {"EHLO", "STARTTLS", "QUIT"}


async def test_garbage_in_the_place_of_a_handshake_is_201(trusted: CertificateKit) -> None:
    """It may arrive with the 220 or behind it: an injection or a failed handshake, and nothing is sent either way."""
    rule = at("TLS").send(b"220 this is not TLS\r\n")
    with SmtpServer(rules=[rule], tls="starttls", ssl_context=trusted.server_context(), users=USERS) as server:
        error = await fail_to_open(access_to(server, **USER))

        assert told(error) in {(201, "starttls_injection", False), (201, "handshake_failed", False)}
        assert set(verbs(server)) <= {"EHLO", "STARTTLS", "QUIT"}


@pytest.mark.parametrize("tls", ["implicit", "starttls"])
@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("expired", "certificate_expired"),
        ("not_yet_valid", "certificate_not_yet_valid"),
        ("unknown_ca", "certificate_untrusted"),
        ("self_signed", "certificate_untrusted"),
        ("wrong_host", "hostname_mismatch"),
        ("tls_1_1", "protocol_mismatch"),
    ],
)
async def test_a_bad_certificate_is_201(tls: str, kind: str, reason: str, trusted: CertificateKit) -> None:
    """With its reason, and before anything secret is said."""
    context = getattr(trusted, f"{kind}_context")()
    with SmtpServer(tls=tls, ssl_context=context, users=USERS) as server:  # type: ignore[arg-type]
        error = await fail_to_open(access_to(server, use_ssl=tls == "implicit", **USER))

        assert isinstance(error, EmailSessionException)
        assert told(error) == (201, reason, False)
        assert error.category == "SSL"
        assert set(verbs(server)) <= {"EHLO", "STARTTLS"}


async def test_an_authority_that_is_not_trusted_is_201(certificates: CertificateKit) -> None:
    """Without SSL_CERT_FILE the test authority is nobody."""
    with SmtpServer(tls="implicit", ssl_context=certificates.server_context()) as server:
        assert told(await fail_to_open(access_to(server, use_ssl=True))) == (201, "certificate_untrusted", False)


async def test_tls_to_a_port_in_clear_text_is_201() -> None:
    """The server greets where a handshake was expected."""
    with SmtpServer() as server:
        error = await fail_to_open(access_to(server, use_ssl=True))

    assert told(error) == (201, "tls_not_offered", False)
    assert error.message.endswith("try UseSsl false.")


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (at("TLS").drop(), {(201, "handshake_failed", True)}),
        # A reset can come so early that not even the connection stands.
        (at("TLS").reset(), {(201, "handshake_failed", True), (1200, "disconnected", True)}),
        (at("TLS").stall(), {(201, "timed_out", True)}),
    ],
    ids=("drop", "reset", "stall"),
)
async def test_a_handshake_broken_off_may_be_tried_again(
    rule: Rule, expected: set[object], trusted: CertificateKit
) -> None:
    """A server about to restart does this, and one that is misconfigured: a few tries tell."""
    with SmtpServer(rules=[rule], tls="implicit", ssl_context=trusted.server_context()) as server:
        assert told(await fail_to_open(access_to(server, use_ssl=True))) in expected


async def test_a_closed_port_is_100_and_an_unknown_host_101() -> None:
    """The first things that can be wrong."""
    port = free_port()

    assert told(await fail_to_open(Access("localhost", port, use_ssl=False))) == (100, "refused", True)
    assert (await fail_to_open(Access("no-such-host.invalid", port))).error_code == 101


@pytest.mark.parametrize(
    ("line", "retryable"),
    [("421 4.3.2 bye", True), ("450 4.3.2 later", True), ("550 5.7.1 no", False), ("521 no mail here", False)],
)
async def test_a_refused_ehlo_is_told(line: str, retryable: bool) -> None:  # noqa: FBT001
    """No HELO behind it: a server without its extensions is not what was asked for."""
    with SmtpServer(rules=[at("EHLO").reply(line)]) as server:
        error = await fail_to_open(server)

        assert "HELO" not in verbs(server)
    assert isinstance(error, SmtpCommandException)
    assert (error.smtp_code, error.retryable, error.facts["phase"]) == (int(line[:3]), retryable, "ehlo")


@pytest.mark.parametrize("code", [500, 502, 504])
async def test_helo_serves_where_neither_tls_nor_auth_is_wanted(code: int) -> None:
    """An old relay, used without credentials."""
    with SmtpServer(rules=[at("EHLO").reply(f"{code} what?")]) as server:
        session = await open_to(server)
        await session.quit()

        assert verbs(server) == ("EHLO", "HELO", "QUIT")
        assert not session.extensions.pipelining


async def test_a_server_that_knows_no_greeting_is_told_as_such() -> None:
    """Neither EHLO nor HELO: its last reply is the answer."""
    with SmtpServer(rules=[at("EHLO").reply("502 what?"), at("HELO").reply("550 5.7.1 not you")]) as server:
        error = await fail_to_open(server)

    assert isinstance(error, SmtpCommandException)
    assert (error.smtp_code, error.retryable) == (550, False)


@pytest.mark.parametrize(
    ("allow_cleartext", "expected"),
    [(False, (201, "starttls_not_offered", False)), (True, (300, "auth_not_offered", False))],
)
async def test_helo_does_not_serve_for_credentials(
    allow_cleartext: bool,  # noqa: FBT001
    expected: tuple[int, str, bool],
) -> None:
    """Without EHLO there is neither STARTTLS nor AUTH."""
    with SmtpServer(rules=[at("EHLO").reply("502 what?")]) as server:
        error = await fail_to_open(access_to(server, allow_cleartext=allow_cleartext, **USER))

        assert verbs(server) == ("EHLO", "QUIT")
    assert told(error) == expected


@pytest.mark.parametrize("rule", [at("EHLO").drop(), at("EHLO").stall(), at("EHLO").send(b"hello\r\n")])
async def test_a_connection_lost_at_ehlo_may_be_tried_again(rule: Rule) -> None:
    """Hung up, silent, or talking nonsense."""
    with SmtpServer(rules=[rule]) as server:
        error = await fail_to_open(server, timeouts=QUICK)

    assert isinstance(error, IOException)
    assert error.retryable
    assert error.reason in {"disconnected", "timed_out", "protocol_error"}


async def test_one_can_look_without_logging_in(trusted: CertificateKit) -> None:
    """What the server offers, how it is secured, and until when its certificate holds; nobody logs in."""
    with SmtpServer(tls="implicit", ssl_context=trusted.server_context(), users=USERS) as server:
        access = access_to(server, use_ssl=True, **USER)
        connection, extensions = await reach(access, local_name=None, timeouts=QUICK)
        ends_at, security = connection.certificate_ends_at, connection.security
        await connection.quit(QUICK.quit_s)

        assert "PLAIN" in extensions.auth_mechanisms
        assert security in {"TLSv1.2", "TLSv1.3"}
        assert ends_at is not None
        assert ends_at > time.time()
        assert verbs(server) == ("EHLO", "QUIT")


async def test_in_the_clear_there_is_no_certificate() -> None:
    """And that is said."""
    with SmtpServer() as server:
        connection, _ = await reach(access_to(server), local_name=None, timeouts=QUICK)
        await connection.quit(QUICK.quit_s)

        assert (connection.certificate_ends_at, connection.security) == (None, "in the clear")
