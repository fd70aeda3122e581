"""`postroom doctor` on a healthy system, and on one that is broken in one place: it names that place and no other.

One Redis, one worker, one mail server and one name server serve all tests; each test breaks one thing and mends it again.
The breakages are real: settings, servers, certificates and records are what the test says.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from postroom.testing import CertificateKit, SmtpServer, at, free_port
from postroom.testing.certificates import HOSTS
from postroom_broker import keys
from postroom_broker.beats import Beats
from postroom_broker.death_reasons import DeathReason
from postroom_broker.transport.envelope import dead
from postroom_contract.names import QUEUE_NORMAL
from postroom_contract.sealing import generate_key
from tests.broker.transport.conftest import message
from tests.support.dns_server import DnsServer
from tests.support.post import PASSWORD, USERNAME, Command, Post, a_message
from tests.support.valkey import ValkeyServer, connect
from tests.support.waiting import wait_until

RECORDS = {
    "example.com": ["v=spf1 include:mail.example -all"],
    "_dmarc.example.com": ["v=DMARC1; p=reject"],
    "s1._domainkey.example.com": ["v=DKIM1; k=rsa; p=MIGf"],
}


@dataclass
class Clinic:
    """A healthy system, and how to examine it."""

    post: Post
    redis: ValkeyServer
    # Another Redis, where no worker is.
    lonely: ValkeyServer
    smtp: SmtpServer
    resolver: str
    folder: Path
    certificates: CertificateKit
    files: list[Path] = field(default_factory=list)

    def sessions(self, **changes: object) -> dict[str, str]:
        """A sessions file with the healthy session, changed; a password in it is encrypted for what is named."""
        table: dict[str, Any] = {"host": "localhost", "port": self.smtp.port, "username": USERNAME, **changes}
        if table["username"] and "password" not in table:
            ssl, user = bool(table.get("use_ssl", True)), str(table["username"])
            host, port = str(table["host"]), int(table["port"])
            table["password"] = self.post.encrypt(PASSWORD, port, use_ssl=ssl, username=user, host=host).token
        path = self.folder / f"sessions-{len(self.files)}.toml"
        lines = [f"{name} = {json.dumps(value)}" for name, value in table.items() if value is not None]
        path.write_text("\n".join(["[sessions.shop]", *lines]), encoding="utf-8")
        self.files.append(path)
        return {"POSTROOM_SESSIONS_FILE": str(path)}

    def session_at(self, server: SmtpServer | int, **changes: object) -> dict[str, str]:
        """The same for another server."""
        return self.sessions(port=server if isinstance(server, int) else server.port, **changes)

    def visit(self, *options: str, **variables: str) -> Command:
        """Run the doctor with these options and variables."""
        post = self.post
        post.more, healthy = {**post.more, **variables}, post.more
        try:
            given = options if "--resolver" in options else ("--resolver", self.resolver, *options)
            chosen = given if "--dkim-selector" in options else ("--dkim-selector", "s1", *given)
            return post.run("doctor", *chosen)
        finally:
            post.more = healthy

    def troubles(self, *options: str, **variables: str) -> set[str]:
        """The codes of what is not in order."""
        ended = self.visit("--json", *options, **variables)
        told = [json.loads(line) for line in ended.output.splitlines()]
        assert told, ended
        assert "Traceback" not in ended.errors
        return {finding["code"] for finding in told if finding["severity"] != "ok"}

    def server(self, **options: Any) -> SmtpServer:
        """A mail server like the healthy one, changed."""
        healthy: dict[str, Any] = {
            "tls": "implicit",
            "ssl_context": self.certificates.server_context(),
            "users": {USERNAME: PASSWORD},
            "require_auth": True,
        }
        return SmtpServer(**(healthy | options))


@pytest.fixture(scope="module")
def clinic(
    valkey_program: Path, tmp_path_factory: pytest.TempPathFactory, certificates: CertificateKit
) -> Iterator[Clinic]:
    """The healthy system."""
    folder = tmp_path_factory.mktemp("clinic")
    (folder / "lonely").mkdir()
    with ExitStack() as stack:
        redis = stack.enter_context(ValkeyServer(valkey_program, folder, append_only=True))
        lonely = stack.enter_context(ValkeyServer(valkey_program, folder / "lonely", append_only=True))
        resolver = stack.enter_context(DnsServer(RECORDS)).address
        post = Post(redis.url, folder, certificates.ca_file)
        smtp = SmtpServer(
            tls="implicit", ssl_context=certificates.server_context(), users={USERNAME: PASSWORD}, require_auth=True
        )
        stack.enter_context(smtp)
        clinic = Clinic(post, redis, lonely, smtp, resolver, folder, certificates)
        post.more |= clinic.sessions()
        stack.enter_context(post.worker())
        with connect(redis.url) as client:
            wait_until(lambda: client.exists(keys.WORKERS), 20, "the worker to show")
        yield clinic


@contextmanager
def configured(url: str, settings: Mapping[str, str]) -> Iterator[None]:
    """A Redis with other settings for a while."""
    with connect(url) as client:
        before = {name: client.config_get(name)[name] for name in settings}
        for name, value in settings.items():
            client.config_set(name, value)
        try:
            yield
        finally:
            for name, value in reversed(before.items()):
                client.config_set(name, value)


def test_healthy_system_is_green(clinic: Clinic) -> None:
    """Nothing is found, the exit code is 0, nothing was sent, and MAIL FROM was taken back."""
    messages = len(clinic.smtp.messages)
    began_at = time.monotonic()
    ended = clinic.visit()
    print(f"postroom doctor on a healthy system: {time.monotonic() - began_at:.1f} s")  # noqa: T201

    assert ended.exit_code == 0, ended
    assert "0 errors, 0 warnings, 0 notes" in ended.output
    assert len(clinic.smtp.messages) == messages
    last = clinic.smtp.connections[-1]
    assert [command.split(" ")[0] for command in last.commands] == ["EHLO", "AUTH", "MAIL", "RSET", "QUIT"]
    assert USERNAME not in ended.output


def test_redis_away(clinic: Clinic) -> None:
    """Nothing listens there."""
    away = {"POSTROOM_BROKER_URL": f"redis://127.0.0.1:{free_port()}/0"}

    assert clinic.troubles(**away) == {"redis_away"}
    assert clinic.visit(**away).exit_code == 69


def test_results_away(clinic: Clinic) -> None:
    """Where outcomes are kept elsewhere, that server is checked too."""
    assert clinic.troubles(POSTROOM_RESULT_URL=f"redis://127.0.0.1:{free_port()}/0") == {"redis_away"}


def test_wrong_redis_password(clinic: Clinic) -> None:
    """The user exists, and the password is another; neither is shown."""
    with connect(clinic.redis.url) as client:
        client.execute_command("ACL", "SETUSER", "clerk", "on", ">right", "~*", "+@all")
    url = clinic.redis.url.replace("redis://", "redis://clerk:canary@")
    ended = clinic.visit("--json", POSTROOM_BROKER_URL=url)

    assert ended.exit_code == 69
    assert clinic.troubles(POSTROOM_BROKER_URL=url) == {"redis_refuses"}
    assert "canary" not in ended.output


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"maxmemory-policy": "allkeys-lru", "maxmemory": "1gb"}, {"redis_evicts"}),
        ({"maxmemory-policy": "allkeys-lru"}, {"redis_would_evict"}),
        ({"appendonly": "no"}, {"redis_forgets"}),
        ({"appendonly": "no", "save": "3600 1"}, {"redis_may_forget"}),
    ],
    ids="+".join,
)
def test_redis_that_loses_mail(clinic: Clinic, settings: dict[str, str], expected: set[str]) -> None:
    """Eviction and persistence, as the server's settings have them."""
    with configured(clinic.redis.url, settings):
        assert clinic.troubles() == expected


@pytest.mark.parametrize(("share", "expected"), [(0.85, "redis_nearly_full"), (1.2, "redis_full")])
def test_redis_short_of_memory(clinic: Clinic, share: float, expected: str) -> None:
    """Nearly full, and full."""
    with connect(clinic.lonely.url) as client:
        used = int(client.info("memory")["used_memory"])
    with configured(clinic.lonely.url, {"maxmemory": str(int(used / share))}):
        assert clinic.troubles(POSTROOM_BROKER_URL=clinic.lonely.url) == {"workers_none", expected}


def test_redis_that_cannot_write_to_disk(clinic: Clinic) -> None:
    """A folder stands where the snapshot is to be written."""
    obstacle = clinic.redis.data_dir / "dump.rdb"
    with connect(clinic.redis.url) as client:
        obstacle.mkdir()
        try:
            client.bgsave()
            wait_until(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err", 20, "the failure")
            assert clinic.troubles() == {"redis_disk_fails"}
        finally:
            obstacle.rmdir()
            client.bgsave()
            wait_until(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "ok", 20, "the mending")


def test_redis_replica(clinic: Clinic) -> None:
    """A server that follows another one takes nothing."""
    with connect(clinic.lonely.url) as client:
        client.execute_command("REPLICAOF", "127.0.0.1", free_port())
        try:
            assert "redis_read_only" in clinic.troubles(POSTROOM_BROKER_URL=clinic.lonely.url)
        finally:
            client.execute_command("REPLICAOF", "NO", "ONE")


def test_no_worker(clinic: Clinic) -> None:
    """Redis is there, and nobody works at it."""
    ended = clinic.visit(POSTROOM_BROKER_URL=clinic.lonely.url)

    assert ended.exit_code == 18
    assert clinic.troubles(POSTROOM_BROKER_URL=clinic.lonely.url) == {"workers_none"}


def test_rings(clinic: Clinic) -> None:
    """Keys that are missing, others than the worker's, in rotation, shared, or where they do not belong."""
    seal, lock, other = clinic.post.keys, clinic.post.password_keys, generate_key("other")

    assert clinic.troubles(POSTROOM_KEYS="") == {"keys_missing"}
    assert clinic.troubles(POSTROOM_KEYS="nonsense") == {"settings_wrong"}
    assert clinic.troubles(POSTROOM_KEYS=other) == {"worker_keys_differ"}
    assert clinic.troubles(POSTROOM_KEYS=f"{other},{seal}") == {"worker_keys_differ"}
    assert clinic.troubles(POSTROOM_KEYS=f"{seal},{other}") == {"worker_keys_lag"}
    assert clinic.troubles(POSTROOM_PASSWORD_KEYS=f"{lock},{seal}") == {"keys_shared"}
    assert clinic.troubles("--side", "producer") == {"password_keys_here"}
    wrong = {"worker_password_keys_differ", "password_unreadable"}
    assert clinic.troubles(POSTROOM_PASSWORD_KEYS=generate_key("lock")) == wrong
    assert clinic.troubles(POSTROOM_PASSWORD_KEYS="") == {"login_unchecked"}
    missing = {"password_keys_missing", "login_unchecked"}
    assert clinic.troubles("--side", "worker", POSTROOM_PASSWORD_KEYS="") == missing
    assert clinic.visit(POSTROOM_KEYS="").exit_code == 78


def test_worker_settings(clinic: Clinic) -> None:
    """What would stop a worker from starting is told where a worker's settings are."""
    assert clinic.troubles(POSTROOM_DRAIN_S="soon") == {"settings_wrong"}


def test_sessions_file(clinic: Clinic, tmp_path: Path) -> None:
    """A file that is missing or no TOML, a name that it does not have, and no file."""
    broken = tmp_path / "broken.toml"
    broken.write_text("[sessions.shop\n", encoding="utf-8")

    assert clinic.troubles(POSTROOM_SESSIONS_FILE=str(tmp_path / "none.toml")) == {"sessions_file_wrong"}
    assert clinic.troubles(POSTROOM_SESSIONS_FILE=str(broken)) == {"sessions_file_wrong"}
    assert clinic.troubles("warehouse") == {"session_unknown"}
    assert clinic.troubles("shop") == set()
    assert clinic.troubles(POSTROOM_SESSIONS_FILE="") == {"sessions_none"}


def test_recurring_mail(clinic: Clinic, tmp_path: Path) -> None:
    """A schedule file that is wrong, one that no beat keeps, and two beats that keep it."""
    good = tmp_path / "schedule.toml"
    message = 'message = {To = "ann@example.com", From = "shop@example.com", Subject = "s", Body = "b"}'
    good.write_text(f'[[schedule]]\nname = "x"\nevery = "1d"\nsession = "shop"\n{message}\n', encoding="utf-8")
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(good.read_text(encoding="utf-8").replace("1d", "soon"), encoding="utf-8")

    assert clinic.troubles(POSTROOM_SCHEDULE_FILE=str(wrong)) == {"schedule_file_wrong", "beats_none"}
    assert clinic.troubles(POSTROOM_SCHEDULE_FILE=str(good)) == {"beats_none"}
    one, two = (Beats(clinic.redis.url, name) for name in ("one", "two"))
    one.tick({})
    assert clinic.troubles(POSTROOM_SCHEDULE_FILE=str(good)) == set()
    two.tick({})
    assert clinic.troubles() == {"beats_several"}
    one.close()
    two.close()
    with connect(clinic.redis.url) as client:
        client.delete(keys.BEATS, keys.BEAT_MARKS)


def test_webhook(clinic: Clinic) -> None:
    """A destination that is none, a webhook that no worker can sign for, and a host's task, which needs no secret."""
    assert clinic.troubles(POSTROOM_ON_OUTCOME="ftp://example.com") == {"settings_wrong"}
    assert clinic.troubles(POSTROOM_ON_OUTCOME="https://example.com/hook") == {"webhook_secret_missing"}
    assert clinic.troubles(POSTROOM_ON_OUTCOME="celery:shop.ended") == set()
    assert clinic.troubles(POSTROOM_ON_OUTCOME="none") == set()


def test_dead_letters(clinic: Clinic) -> None:
    """One message that no worker could finish."""
    entry = dead(message("d1"), reason=DeathReason.BUG, deliveries=1, queue=QUEUE_NORMAL)
    with connect(clinic.redis.url) as client:
        client.rpush(keys.DEAD, entry)
        try:
            assert clinic.troubles() == {"dead_letters"}
        finally:
            client.delete(keys.DEAD)


def test_mail_that_waits_too_long(clinic: Clinic) -> None:
    """A message that was queued an hour ago, one that was due then, and one whose worker was killed then."""
    lonely, an_hour_ago = {"POSTROOM_BROKER_URL": clinic.lonely.url}, time.time() - 3600
    clinic.post.more, healthy = {**clinic.post.more, **lonely}, clinic.post.more
    with connect(clinic.lonely.url) as client, clinic.post.mailer() as mailer:
        clinic.post.more = healthy
        try:
            receipt = mailer.send(a_message(), "shop")
            assert clinic.troubles(**lonely) == {"workers_none"}
            client.hset(f"postroom.delivery.{receipt.id}", "due", f"{an_hour_ago:.6f}")
            assert clinic.troubles(**lonely) == {"workers_none", "queue_old"}
            client.flushall()
            receipt = mailer.send(a_message(), "shop", send_at=datetime.now(UTC) + timedelta(hours=1))
            assert clinic.troubles(**lonely) == {"workers_none"}
            client.zadd(keys.DELAYED, {receipt.id: an_hour_ago})
            assert clinic.troubles(**lonely) == {"workers_none", "schedule_late"}
            client.flushall()
            client.zadd(keys.UNACKED_INDEX, {"lease:killed.1.1": an_hour_ago})
            assert clinic.troubles(**lonely) == {"workers_none", "leases_lapsed"}
        finally:
            client.flushall()


def test_host_and_port(clinic: Clinic) -> None:
    """A name that does not exist, and a port where nothing is."""
    nowhere = clinic.troubles(**clinic.sessions(host="nowhere.invalid"))
    # Where a machine has no name server at all, nobody can say that there is no such host.
    assert nowhere in ({"host_unknown"}, {"host_unresolved"})
    assert clinic.troubles(**clinic.session_at(free_port())) == {"port_closed"}


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        ("expired_context", "certificate_expired"),
        ("not_yet_valid_context", "certificate_not_yet_valid"),
        ("unknown_ca_context", "certificate_untrusted"),
        ("self_signed_context", "certificate_untrusted"),
        ("wrong_host_context", "certificate_of_another_host"),
    ],
)
def test_certificates(clinic: Clinic, make: str, expected: str) -> None:
    """Each way in which a certificate does not do."""
    with clinic.server(ssl_context=getattr(clinic.certificates, make)()) as server:
        assert clinic.troubles(**clinic.session_at(server)) == {expected}


def test_certificate_that_ends_soon(clinic: Clinic) -> None:
    """It does today, and will not in ten days."""
    context = clinic.certificates._context_for(*HOSTS, not_after=datetime.now(UTC) + timedelta(days=10))
    with clinic.server(ssl_context=context) as server:
        ended = clinic.visit(**clinic.session_at(server))
        assert clinic.troubles(**clinic.session_at(server)) == {"certificate_ends_soon"}

    assert ended.exit_code == 17
    assert "has days left: 9" in ended.output


def test_tls_of_the_other_kind(clinic: Clinic) -> None:
    """TLS from the first byte where the server has STARTTLS, the other way round, and STARTTLS that is not there."""
    with clinic.server(tls="starttls") as starttls:
        assert clinic.troubles(**clinic.session_at(starttls)) == {"tls_not_offered"}
        assert clinic.troubles(**clinic.session_at(starttls, use_ssl=False)) == set()
    assert clinic.troubles(**clinic.sessions(use_ssl=False)) == {"tls_from_first_byte"}
    with clinic.server(tls="none", ssl_context=None) as bare:
        assert clinic.troubles(**clinic.session_at(bare, use_ssl=False)) == {"starttls_not_offered"}


def test_mail_in_the_clear(clinic: Clinic) -> None:
    """It is told, also where the session wants it so."""
    with clinic.server(tls="none", ssl_context=None, allow_cleartext_auth=True) as bare:
        assert clinic.troubles(**clinic.session_at(bare, use_ssl=False, allow_cleartext=True)) == {"clear_text"}


Rules = Callable[[], dict[str, Any]]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (lambda: {"users": {USERNAME: "another"}}, "login_refused"),
        (lambda: {"users": {}, "require_auth": False}, "login_not_offered"),
        (lambda: {"auth_mechanisms": ("XOAUTH2",)}, "login_mechanism"),
        (lambda: {"rules": [at("AUTH").reply("454 4.7.0 later")]}, "login_not_now"),
        (lambda: {"rules": [at("MAIL").reply("553 5.7.1 not yours")]}, "sender_refused"),
        (lambda: {"rules": [at("MAIL").reply("451 4.3.0 later")]}, "sender_not_now"),
        (lambda: {"rules": [at("GREETING").reply_then_close("554 5.7.1 no")]}, "connection_refused"),
        (lambda: {"rules": [at("GREETING").send(b"SSH-2.0-OpenSSH_9\r\n")]}, "not_smtp"),
        (lambda: {"rules": [at("GREETING").stall()]}, "port_silent"),
        (lambda: {"rules": [at("EHLO").drop()]}, "connection_lost"),
        (lambda: {"extensions": ("SIZE 1000000",)}, "no_pipelining"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_mail_server(clinic: Clinic, options: Rules, expected: str) -> None:
    """Each way in which a server does not take mail; the login is tried once at most."""
    with clinic.server(**options()) as server:
        assert clinic.troubles(**clinic.session_at(server)) == {expected}

    assert len(server.connections) == 1
    assert len(server.connections[0].auth_attempts) <= 1
    assert server.messages == ()


def test_password_for_another_server(clinic: Clinic) -> None:
    """A password that was encrypted for another port is not opened, and nobody logs in."""
    token = clinic.post.encrypt(PASSWORD, 465, use_ssl=True, username=USERNAME).token

    assert clinic.troubles(**clinic.sessions(password=token)) == {"password_unreadable"}
    assert clinic.smtp.connections[-1].auth_attempts == ()


def test_user_name_that_is_no_address(clinic: Clinic) -> None:
    """Nobody knows who sends, until it is told."""
    with clinic.server(users={"apikey": PASSWORD}) as server:
        session = clinic.session_at(server, username="apikey")

        assert clinic.troubles(**session) == {"sender_unknown"}
        assert clinic.troubles("--from", USERNAME, **session) == set()


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ({"example.com": ["unrelated"]}, "spf_missing"),
        ({"example.com": ["v=spf1 -all", "v=spf1 ~all"]}, "spf_several"),
        ({"example.com": ["v=spf1 +all"]}, "spf_open"),
        ({"_dmarc.example.com": []}, "dmarc_missing"),
        ({"_dmarc.example.com": ["v=DMARC1; p=none"]}, "dmarc_none"),
        ({"_dmarc.example.com": ["v=DMARC1; pp=reject"]}, "dmarc_broken"),
        ({"s1._domainkey.example.com": []}, "dkim_missing"),
        ({"s1._domainkey.example.com": ["v=DKIM1; p="]}, "dkim_revoked"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_records(clinic: Clinic, records: dict[str, list[str]], expected: str) -> None:
    """Each record that is missing or says the wrong thing."""
    with DnsServer({**RECORDS, **records}) as names:
        assert clinic.troubles("--resolver", names.address) == {expected}


def test_records_without_an_answer(clinic: Clinic) -> None:
    """A domain that does not exist, and a name server that is not there."""
    with DnsServer({"elsewhere.example": ["v=spf1 -all"]}) as names:
        assert clinic.troubles("--resolver", names.address) == {"domain_unknown"}
    assert clinic.troubles("--resolver", f"127.0.0.1:{free_port()}") == {"records_unanswered"}
