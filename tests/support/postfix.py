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
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from postroom.testing import SmtpServer, free_port
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
127.0.0.1:{clear} inet n - n - - smtpd -o smtpd_tls_security_level=none -o smtpd_sasl_auth_enable=no
127.0.0.1:{starttls} inet n - n - - smtpd
127.0.0.1:{implicit} inet n - n - - smtpd -o smtpd_tls_wrappermode=yes
127.0.0.1:{silent_about_size} inet n - n - - smtpd
  -o smtpd_tls_security_level=none -o smtpd_sasl_auth_enable=no -o smtpd_discard_ehlo_keywords=size
127.0.0.1:{impatient} inet n - n - - smtpd
  -o smtpd_tls_security_level=none -o smtpd_sasl_auth_enable=no -o smtpd_timeout=1s
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

_GOODBYE = re.compile(r"postfix/smtpd\[\d+\]: disconnect from \S+ (.*)")


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

    def __init__(self, chain: bytes) -> None:
        """Prepare an instance.

        Args:
            chain: its private key and certificate, PEM, the key first.
        """
        self._chain = chain
        self._ports = {way: free_port() for way in Way}
        self.port_silent_about_size = free_port()
        self.impatient_port = free_port()
        self.relay = SmtpServer()

    @property
    def ports(self) -> Mapping[Way, int]:
        return self._ports

    @property
    def log(self) -> str:
        """What Postfix has said so far."""
        return self._log.read_text() if self._log.exists() else ""

    def wait_for_copies(self, count: int) -> list[Copy]:
        messages = self.relay.wait_for_messages(count, ARRIVAL_TIMEOUT_S)
        assert len(messages) == count
        assert self._is_drained()
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
        self._log = folder / "log"
        running.enter_context(self.relay)
        auth_port = running.enter_context(AuthService()).port
        policy_port = running.enter_context(PolicyService()).port
        self._configure(folder, auth_port, policy_port)
        self._make_queue(folder)
        master = program()
        assert master is not None
        with (folder / "output").open("wb") as output:
            process = subprocess.Popen([master, "-c", folder, "-d"], stdout=output, stderr=output, start_new_session=True)
        running.callback(self._stop, process)
        wait_until(lambda: "daemon started" in self.log or process.poll() is not None, READY_TIMEOUT_S, "Postfix")
        assert process.poll() is None, (folder / "output").read_text() + self.log

    def _configure(self, folder: Path, auth_port: int, policy_port: int) -> None:
        (folder / "chain.pem").write_bytes(self._chain)
        (folder / "main.cf").write_text(
            MAIN.format(
                folder=folder,
                relay_port=self.relay.port,
                policy_port=policy_port,
                auth_port=auth_port,
                largest=LARGEST_MESSAGE_OCTETS,
            )
        )
        ports = {way.name.lower(): port for way, port in self._ports.items()}
        (folder / "master.cf").write_text(
            MASTER.format(**ports, silent_about_size=self.port_silent_about_size, impatient=self.impatient_port)
        )

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

    def _is_drained(self) -> bool:
        """Whether no message is left that a test has not seen; one is removed some moments after it was relayed."""

    @staticmethod
    def _stop(process: subprocess.Popen[bytes]) -> None:
        """End the master, which takes its children along."""
        process.send_signal(signal.SIGTERM)
        process.wait(READY_TIMEOUT_S)
