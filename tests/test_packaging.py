"""The wheel as users get it: built, installed where only its own dependencies are, and imported there.

Nothing is downloaded. The clean environment links the dependencies that the wheel declares, and theirs, out of the
environment that runs the tests, so an import that no declared dependency covers fails here.
"""

import importlib.metadata
import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from email.message import Message
from email.parser import HeaderParser
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
PACKAGES = {"postroom_contract", "postroom_broker", "postroom", "postroom_pytest", "postroom_worker"}

# Building and installing take seconds; this is for a machine under load.
INSTALL_TIMEOUT_S = 100

# Imports every module of the packages that a web application uses, and tells what that brought in. `postroom.testing`
# is for programs that test, which have the `dev` extra; an adapter is for programs that have its framework.
IMPORT_ALL = """
import importlib, importlib.util, json, pkgutil, sys
import postroom
with_postroom_alone = sorted(sys.modules)
names = ["postroom"]
others = {"testing", "django", "flask", "fastapi", "starlette"}
for package in ("postroom_contract", "postroom_broker", "postroom"):
    found = pkgutil.walk_packages(importlib.import_module(package).__path__, package + ".", onerror=lambda name: None)
    names += [module.name for module in found if module.name.split(".")[1] not in others]
for name in names:
    importlib.import_module(name)
print(json.dumps({
    "file": postroom.__file__,
    "with_postroom_alone": with_postroom_alone,
    "with_all": sorted(sys.modules),
    "aiosmtplib_installed": importlib.util.find_spec("aiosmtplib") is not None,
}))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this tree."""
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(folder), str(ROOT))
    (built,) = folder.glob("postroom-*.whl")
    return built


@pytest.fixture(scope="module")
def clean_environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel and what `pip install postroom`, without an extra, brings along."""
    environment = tmp_path_factory.mktemp("clean") / "venv"
    venv.create(environment, symlinks=True, with_pip=False)
    site_packages = Path(sysconfig.get_path("purelib", "venv", vars={"base": str(environment)}))
    for distribution in needed_by(metadata_of(wheel).get_all("Requires-Dist") or []):
        link_into(site_packages, distribution)
    pip("--python", str(environment / "bin" / "python"), "install", "--no-deps", "--no-index", str(wheel))
    return environment


def test_wheel_holds_the_packages_and_nothing_else(wheel: Path) -> None:
    """No tests, no tools and no folder of the source tree end up in somebody's site-packages."""
    tops = {entry.partition("/")[0] for entry in entries(wheel)}

    assert tops == PACKAGES | {"postroom-0.1.0.dist-info"}
    assert not [entry for entry in entries(wheel) if "tests" in entry.split("/")]


def test_wheel_says_that_it_is_typed(wheel: Path) -> None:
    """Each package carries the marker that makes type checkers read its annotations."""
    assert {f"{package}/py.typed" for package in PACKAGES} <= set(entries(wheel))


def test_wheel_holds_every_file_of_the_packages(wheel: Path) -> None:
    """A module or a data file (a Lua script, say) of the source tree is in the wheel under its name; examples are not."""
    roots = [ROOT / "contract", ROOT / "broker", ROOT / "producer", ROOT / "worker"]
    sources = {
        path.relative_to(root).as_posix()
        for root in roots
        for path in root.rglob("*")
        if path.is_file() and not {"__pycache__", "examples"} & set(path.parts)
    }

    assert sources - set(entries(wheel)) == set()


def test_wheel_carries_its_licence_and_needs_aiosmtplib_only_for_its_extras(wheel: Path) -> None:
    """The metadata tells a web application nothing of SMTP."""
    requirements = [Requirement(text) for text in metadata_of(wheel).get_all("Requires-Dist") or []]
    markers = {str(needed.marker) for needed in requirements if needed.name == "aiosmtplib"}

    assert "postroom-0.1.0.dist-info/licenses/LICENSE" in entries(wheel)
    assert markers == {f'extra == "{extra}"' for extra in ("worker", "flower", "otel", "testing", "dev")}


def test_application_side_works_without_the_worker_extra(clean_environment: Path) -> None:
    """Everything an application may import is imported where aiosmtplib is not installed, and pulls in no worker."""
    report = json.loads(run(clean_environment / "bin" / "python", "-I", "-c", IMPORT_ALL))

    assert Path(report["file"]).is_relative_to(clean_environment)
    assert not report["aiosmtplib_installed"]
    assert {"aiosmtplib", "postroom_worker"}.isdisjoint(report["with_all"])


def test_importing_postroom_brings_in_no_smtp_client_and_no_worker() -> None:
    """Where the worker is installed too, as here, `import postroom` leaves it alone."""
    report = json.loads(run(Path(sys.executable), "-c", IMPORT_ALL))

    assert report["aiosmtplib_installed"]
    assert {"aiosmtplib", "postroom_worker", "smtplib"}.isdisjoint(report["with_postroom_alone"])


def test_command_runs_without_the_worker_extra(clean_environment: Path) -> None:
    """The console script starts and lists its commands where only the application's side is installed."""
    assert "send" in run(clean_environment / "bin" / "postroom", "--help")


def entries(wheel: Path) -> list[str]:
    """List the files in the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def metadata_of(wheel: Path) -> Message:
    """Read the wheel's metadata."""
    with zipfile.ZipFile(wheel) as archive:
        return HeaderParser().parsestr(archive.read("postroom-0.1.0.dist-info/METADATA").decode())


def needed_by(requirements: list[str]) -> list[importlib.metadata.Distribution]:
    """Return the installed distributions that these requirements ask for without an extra, and theirs in turn."""
    found: dict[str, importlib.metadata.Distribution] = {}
    waiting = [(Requirement(text), "") for text in requirements]
    while waiting:
        requirement, extra = waiting.pop()
        wanted = str(requirement)
        if wanted in found or (requirement.marker and not requirement.marker.evaluate({"extra": extra})):
            continue
        found[wanted] = distribution = importlib.metadata.distribution(requirement.name)
        for each in ["", *requirement.extras]:
            waiting += [(Requirement(text), each) for text in distribution.requires or []]
    return list(found.values())


def link_into(site_packages: Path, distribution: importlib.metadata.Distribution) -> None:
    """Make one installed distribution visible in another environment."""
    for top in {file.parts[0] for file in distribution.files or []} - {"..", "__pycache__"}:
        target = site_packages / top
        if not target.exists():
            target.symlink_to(str(distribution.locate_file(top)))


def pip(*arguments: str) -> None:
    """Run this environment's pip without the network."""
    run(Path(sys.executable), "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments)


def run(program: Path, *arguments: str) -> str:
    """Run a program outside the source tree and return what it prints; its complaints are the failure's text."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    done = subprocess.run(
        [program, *arguments],
        cwd=program.parent,
        env=environment,
        capture_output=True,
        text=True,
        timeout=INSTALL_TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
