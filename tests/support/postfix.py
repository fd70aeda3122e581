"""A Postfix of our own: its master process on loopback ports, with configuration, queue and log in a temporary folder.

Nothing of a Postfix that the machine may run is read or touched. What it takes it relays to a recording `SmtpServer`, so
that a test sees what the next server sees. It asks `postfix_services` about recipients and passwords. Needs root, which
Postfix needs to become its own user.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Self

from postroom.testing import CertificateKit, SmtpServer, free_port
from postroom.testing.certificates import HOSTS
from tests.support.other_server import (
    ARRIVAL_TIMEOUT_S,
    LARGEST_MESSAGE_OCTETS,
    READY_TIMEOUT_S,
    Copy,
    Visit,
    Way,
)
from tests.support.postfix_services import AuthService, PolicyService
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]

# Queue folders by owner and mode, as Postfix's own postfix-files lists them.
OF_THE_MAIL_OWNER = ("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "saved", "trace")

MAIN = """
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = {folder}/log
maillog_file_prefixes = {folder}

inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = postfix.example
mynetworks = 127.0.0.0/8
mydestination =
local_recipient_maps =
alias_maps =
alias_database =
proxy_read_maps =
smtpd_peername_lookup = no
smtp_dns_support_level = disabled
smtp_host_lookup = native
smtp_connection_cache_on_demand = no

# On to the server that records.
relayhost = [127.0.0.1]:{relay_port}
smtp_tls_security_level = none
notify_classes =

smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_recipient_restrictions = check_policy_service inet:127.0.0.1:{policy_port}
message_size_limit = {largest}

smtpd_tls_security_level = may
smtpd_tls_chain_files = {folder}/chain.pem
smtpd_tls_auth_only = yes
smtpd_tls_session_cache_database =
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = inet:127.0.0.1:{auth_port}

# As lenient as Postfix can be: what another server takes for the end of a message, this one takes for it too.
smtpd_forbid_bare_newline = no
smtpd_forbid_unauth_pipelining = no
"""

MASTER = """
127.0.0.1:{clear} inet n - n - - smtpd -o {in_the_clear}
127.0.0.1:{starttls} inet n - n - - smtpd
127.0.0.1:{implicit} inet n - n - - smtpd -o smtpd_tls_wrappermode=yes
127.0.0.1:{silent_about_size} inet n - n - - smtpd -o {in_the_clear} -o smtpd_discard_ehlo_keywords=size
127.0.0.1:{impatient} inet n - n - - smtpd -o {in_the_clear} -o smtpd_timeout=1s
127.0.0.1:{for_two} inet n - n - - smtpd -o {in_the_clear} -o smtpd_recipient_limit=2
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n - 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
"""

IN_THE_CLEAR = "smtpd_tls_security_level=none -o smtpd_sasl_auth_enable=no"

_GOODBYE = re.compile(r"postfix/smtpd\[\d+\]: disconnect from \S+ (.*)")


class Oddity(Enum):
    """What is odd about a further port, in the clear, in `Postfix.oddities`."""

    SILENT_ABOUT_SIZE = "announces no SIZE, and refuses what is too large when it has it"
    IMPATIENT = "hangs up with 421 after a second of silence"
    FOR_TWO = "takes two recipients at a time"


def program() -> Path | None:
    """Where Postfix's master process is on this machine."""
    postconf = shutil.which("postconf", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if postconf is None:
        return None
    asked = subprocess.run([postconf, "-dh", "daemon_directory"], capture_output=True, text=True, check=True)
    return Path(asked.stdout.strip()) / "master"


class Postfix:
    """One instance, and the services it needs, for as long as the context."""

    pipelines = True

    def __init__(self, certificates: CertificateKit) -> None:
        self._certificates = certificates
        self._ports = {way: free_port() for way in Way}
        self.oddities = {oddity: free_port() for oddity in Oddity}
        self.relay = SmtpServer()

    @property
    def ports(self) -> Mapping[Way, int]:
        return self._ports

    @property
    def log(self) -> str:
        """What Postfix has said so far."""
        log = self._folder / "log"
        return log.read_text() if log.exists() else ""

    def wait_for_copies(self, count: int) -> list[Copy]:
        # Whatever it has said 250 to is in its queue; when that is empty, all has been relayed and nothing is to come.
        wait_until(lambda: not any(self._queued()), ARRIVAL_TIMEOUT_S, "Postfix to relay all it took")
        messages = self.relay.messages
        assert len(messages) == count
        return [Copy(message.sender, message.recipients, message.data) for message in messages]

    def wait_for_visits(self, count: int) -> list[Visit]:
        said = wait_until(
            lambda: found if len(found := _GOODBYE.findall(self.log)) >= count else None,
            ARRIVAL_TIMEOUT_S,
            f"{count} connections to end",
        )
        assert len(said) == count
        # `rcpt=1/3` is one accepted of three.
        counts = [re.findall(r"(\w+)=(?:\d+/)?(\d+)", line) for line in said]
        return [Visit({verb: int(times) for verb, times in pairs}) for pairs in counts]

    def __enter__(self) -> Self:
        with ExitStack() as running:
            self._start(running)
            self._running = running.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running.close()

    def _start(self, running: ExitStack) -> None:
        # Not pytest's folder: Postfix's own user has to get there, and that one is root's.
        folder = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="postfix-")))
        folder.chmod(0o755)
        self._folder = folder
        running.enter_context(self.relay)
        auth_port = running.enter_context(AuthService()).port
        policy_port = running.enter_context(PolicyService()).port
        self._configure(folder, auth_port, policy_port)
        self._make_queue(folder)
        master = program()
        assert master is not None
        with (folder / "output").open("wb") as output:
            command = [sys.executable, "-m", "tests.support.reaper", str(master), "-c", str(folder), "-d"]
            process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output, start_new_session=True)
        running.callback(self._stop, process)
        wait_until(lambda: "daemon started" in self.log or process.poll() is not None, READY_TIMEOUT_S, "Postfix")
        assert process.poll() is None, (folder / "output").read_text() + self.log

    def _configure(self, folder: Path, auth_port: int, policy_port: int) -> None:
        certificate = self._certificates._ca.issue_cert(*HOSTS)
        certificate.private_key_and_cert_chain_pem.write_to_path(str(folder / "chain.pem"))
        main = folder / "main.cf"
        main.write_text(
            MAIN.format(
                folder=folder,
                relay_port=self.relay.port,
                policy_port=policy_port,
                auth_port=auth_port,
                largest=LARGEST_MESSAGE_OCTETS,
            )
        )
        # Every Postfix program waits until this file is two seconds old, lest somebody still writes it.
        os.utime(main, (0, 0))
        ports = {door.name.lower(): port for door, port in [*self._ports.items(), *self.oddities.items()]}
        (folder / "master.cf").write_text(MASTER.format(in_the_clear=IN_THE_CLEAR, **ports))

    @staticmethod
    def _make_queue(folder: Path) -> None:
        queue = folder / "queue"
        for name in (*OF_THE_MAIL_OWNER, "private"):
            (queue / name).mkdir(mode=0o700, parents=True)
            shutil.chown(queue / name, "postfix")
        (queue / "pid").mkdir()
        (queue / "public").mkdir()
        shutil.chown(queue / "public", "postfix", "postdrop")
        (folder / "data").mkdir(mode=0o700)
        shutil.chown(folder / "data", "postfix")

    def _queued(self) -> Iterator[Path]:
        """Yield the messages in its queue; in the order in which they move, so that none is missed."""
        for name in ("incoming", "active", "deferred"):
            yield from (path for path in (self._folder / "queue" / name).rglob("*") if path.is_file())

    def _stop(self, process: subprocess.Popen[bytes]) -> None:
        if process.poll() is None:
            os.kill(int((self._folder / "queue" / "pid" / "master.pid").read_text()), signal.SIGTERM)
        process.wait(READY_TIMEOUT_S)
