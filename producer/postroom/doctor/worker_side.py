"""The checks that only the worker's package can do, run by it in a process of its own.

Owns the start of that process, its patience with it, and the reading of its answers. Passwords go there as they are
configured, encrypted; what the process writes to standard error is not shown, for a traceback may quote an address.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from postroom.doctor.ground import Ground
from postroom_contract.finding import Finding
from postroom_contract.finding_codes import FindingCode

# The process gives up on a session after 8.5 s, and needs a second to start.
PATIENCE_S = 12.0


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the person asked for about senders."""

    # Personal.
    sender: str | None = None
    selectors: tuple[str, ...] = ()
    # IP address and port of a name server.
    resolver: tuple[str, int] | None = None

    def __repr__(self) -> str:
        """Show no address."""
        return f"Wishes(selectors={len(self.selectors)})"


def check_mail_servers(ground: Ground, wishes: Wishes) -> list[Finding]:
    """What the worker's package finds out about the sessions and, on a worker's side, about its settings."""
    is_worker = ground.side == "worker"
    if not ground.sessions and not is_worker:
        return []
    if importlib.util.find_spec("aiosmtplib") is None:
        return [Finding(FindingCode.SMTP_UNCHECKED)]
    asked = {
        "sessions": {name: details.model_dump(mode="json") for name, details in ground.sessions.items()},
        "sender": wishes.sender,
        "selectors": wishes.selectors,
        "resolver": wishes.resolver,
        "is_worker": is_worker,
    }
    return run([sys.executable, "-m", "postroom_worker.checkup"], json.dumps(asked), PATIENCE_S)


def run(command: Sequence[str], question: str, patience_s: float) -> list[Finding]:
    """Ask a process, and return what it has told by its end, or by the end of our patience."""
    trouble = ""
    try:
        ended = subprocess.run(command, input=question.encode(), capture_output=True, timeout=patience_s, check=False)
        told: bytes = ended.stdout
        if ended.returncode:
            trouble = f"exit code {ended.returncode}"
    except subprocess.TimeoutExpired as late:
        told = late.stdout or b""
        trouble = f"none within {patience_s:g} s"
    # The last line is whole only if it has its end.
    lines = told.decode(errors="replace").split("\n")[:-1]
    findings = [Finding.from_dict(json.loads(line)) for line in lines]
    return [*findings, Finding(FindingCode.SMTP_CHECK_FAILED, "", {"detail": trouble})] if trouble else findings
