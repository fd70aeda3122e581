"""What docker-compose.yml would run, read so that a test can run the same command lines on the host.

No container engine is needed: a path inside a container is translated to the file that compose would mount there.
"""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent.parent
# What health checks name, as it is called in a container.
INSIDE = {"alive_file": "/tmp/alive", "flower_port": "5555", "inbox_port": "1080"}  # noqa: S108
COMPOSE_FILE = ROOT / "docker-compose.yml"


@dataclass(frozen=True)
class Service:
    """One service of the compose file, as far as a test on the host can use it."""

    command: tuple[str, ...]
    environment: dict[str, str]
    # Path inside the container -> the file or folder of this tree that is mounted there.
    mounts: dict[str, Path]
    # Path inside the container -> the file (not checked in) that holds the secret.
    secrets: dict[str, Path]
    stop_grace_period_s: float
    # Its health check, as a shell or a program of the container runs it.
    healthcheck: tuple[str, ...]
    # Ports of the host, each with the address that it is open on.
    published: tuple[str, ...]
    profiles: tuple[str, ...]

    def is_healthy_on_host(self, **translated: str) -> bool:
        """Run the health check on the host, with what is called otherwise there translated."""
        kind, *words = self.healthcheck
        for inside, outside in translated.items():
            words = [word.replace(INSIDE[inside], outside) for word in words]
        # Compose reads $$ as $.
        command = ["sh", "-c", words[0].replace("$$", "$")] if kind == "CMD-SHELL" else [sys.executable, *words[1:]]
        return subprocess.run(command, check=False, capture_output=True, timeout=30).returncode == 0

    def command_on_host(self, program: Path) -> list[str]:
        """Return the service's command line with `program` in the place of its own and host paths for mounted ones."""
        return [str(program), *(str(self.mounts.get(argument, argument)) for argument in self.command[1:])]


def read_services() -> dict[str, Service]:
    """Return all services of docker-compose.yml by name."""
    document: dict[str, Any] = yaml.safe_load(COMPOSE_FILE.read_text())
    secret_files = {name: ROOT / secret["file"] for name, secret in document.get("secrets", {}).items()}
    return {name: _service(entry, secret_files) for name, entry in document["services"].items()}


def _service(entry: dict[str, Any], secret_files: dict[str, Path]) -> Service:
    mounts = [volume.split(":") for volume in entry.get("volumes", [])]
    return Service(
        command=(*entry.get("entrypoint", ()), *entry["command"]),
        environment=entry.get("environment", {}),
        mounts={inside: ROOT / outside for outside, inside, *_ in mounts if outside.startswith(".")},
        secrets={f"/run/secrets/{name}": secret_files[name] for name in entry.get("secrets", [])},
        stop_grace_period_s=float(entry["stop_grace_period"].removesuffix("s")),
        healthcheck=tuple(entry["healthcheck"]["test"]),
        published=tuple(entry.get("ports", ())),
        profiles=tuple(entry.get("profiles", ())),
    )
