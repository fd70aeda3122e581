"""The compose file and what it runs: valid by the compose schema, and its command lines work on the host.

A container engine is not needed. The worker's command line is run where the worker is tested; here stands what can be
said of the file itself, and the broker's settings are read back from a server started with them.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from postroom.testing import free_port
from tests.support.compose import COMPOSE_FILE, ROOT, Service, read_services
from tests.support.valkey import answers, connect
from tests.support.waiting import wait_until


@pytest.fixture
def services() -> dict[str, Service]:
    """The services of docker-compose.yml."""
    return read_services()


def test_compose_file_is_valid() -> None:
    """The file follows the compose specification's own schema (a copy that check-jsonschema brings)."""
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(COMPOSE_FILE)]
    done = subprocess.run(check, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout


def test_broker_starts_with_its_settings_and_keeps_mail(
    services: dict[str, Service], valkey_program: Path, tmp_path: Path
) -> None:
    """The service's own command line, with ops/valkey.conf, gives a server that persists and never evicts."""
    port = free_port()
    url = f"redis://127.0.0.1:{port}/0"
    # What the container gives and the host does not: an address of its own.
    command = [*services["valkey"].command_on_host(valkey_program), "--port", str(port), "--bind", "127.0.0.1"]
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=log)
    try:
        with connect(url) as client:
            wait_until(lambda: answers(url), 20, "the broker to answer")
            settings = client.config_get("appendonly", "appendfsync", "maxmemory-policy", "save")
            client.set("kept", "yes")
    finally:
        server.terminate()
        server.wait(20)

    assert settings == {
        "appendonly": "yes",
        "appendfsync": "everysec",
        "maxmemory-policy": "noeviction",
        "save": "",
    }
    assert any(b"kept" in file.read_bytes() for file in tmp_path.rglob("*.aof"))


def test_every_mounted_file_is_in_the_tree(services: dict[str, Service]) -> None:
    """Compose would make an empty folder of a path that is not there, and the broker would not start."""
    mounted = [path for service in services.values() for path in service.mounts.values()]

    assert mounted
    assert [path for path in mounted if not path.is_file()] == []


def test_worker_gets_its_keys_from_files_that_are_never_checked_in(services: dict[str, Service]) -> None:
    """No key stands in the environment: each `..._FILE` names a mounted secret, and git ignores where it comes from."""
    worker = services["worker"]
    key_files = {name: path for name, path in worker.environment.items() if "KEYS" in name}
    sources = [str(worker.secrets[path]) for path in key_files.values()]
    ignored = subprocess.run(["git", "check-ignore", *sources], cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S607 - git is found on PATH

    assert set(key_files) == {"POSTROOM_KEYS_FILE", "POSTROOM_PASSWORD_KEYS_FILE"}
    assert ignored.stdout.split() == sources


def test_nothing_is_published_beyond_this_machine(services: dict[str, Service]) -> None:
    """And no published port keeps a second worker from starting (`--scale worker=2`)."""
    published = [port for service in services.values() for port in service.published]

    assert len(published) == 4
    assert [port for port in published if not port.startswith("127.0.0.1:")] == []
    assert services["worker"].published == ()


def test_only_the_worker_can_open_passwords(services: dict[str, Service]) -> None:
    """The beat queues, as an application does; Flower gets no key at all."""
    with_keys = {name: sorted(path.name for path in service.secrets.values()) for name, service in services.items()}

    assert with_keys == {
        "valkey": [],
        "worker": ["postroom_keys", "postroom_password_keys"],
        "beat": ["postroom_keys"],
        "flower": ["postroom_flower_auth"],
        "inbox": [],
    }


def test_what_is_for_development_starts_only_when_asked_for(services: dict[str, Service]) -> None:
    """`docker compose up` alone sends no mail of its own, and keeps none from leaving."""
    assert {name for name, service in services.items() if not service.profiles} == {"valkey", "worker", "flower"}


def test_secrets_are_made_once(tmp_path: Path) -> None:
    """`make secrets` makes what compose names, and a second time leaves it as it is."""
    shutil.copy(ROOT / "Makefile", tmp_path / "Makefile")
    # The tools of this tree, which the target would else install.
    (tmp_path / "requirements").mkdir()
    for name in ("pyproject.toml", "requirements/dev.txt"):
        shutil.copy2(ROOT / name, tmp_path / name)
    environment = Path(sys.executable).parent.parent
    make = ["make", "--no-print-directory", "secrets", f"BIN={environment}/bin", f"STAMP={environment}/.installed"]
    runs = []
    for _ in range(2):
        subprocess.run(
            [*make, "--old-file", f"{environment}/.installed"], cwd=tmp_path, check=True, capture_output=True
        )
        runs.append({file.name: file.read_text() for file in (tmp_path / "ops" / "secrets").iterdir()})

    assert runs[0] == runs[1]
    assert set(runs[0]) == {"postroom_keys", "postroom_password_keys", "postroom_flower_auth"}


def test_worker_image_is_built_from_what_the_tree_has_and_runs_without_root() -> None:
    """What the Dockerfile copies is there and let through by .dockerignore, and its last user is not root."""
    lines = [line.split() for line in (ROOT / "ops" / "Dockerfile").read_text().splitlines() if line.strip()]
    copied = [source for line in lines if line[0] == "COPY" and "--from=build" not in line for source in line[1:-1]]
    let_through = (ROOT / ".dockerignore").read_text().splitlines()
    users = [line[1] for line in lines if line[0] == "USER"]

    assert copied
    assert [source for source in copied if not (ROOT / source).exists() or f"!{source}" not in let_through] == []
    assert users
    assert int(users[-1]) > 0
