"""The shape of the tree: what every module says of itself, how long it may grow, and which test stands beside it.

Import rules are import-linter's business (pyproject.toml) and style is ruff's; here stands what neither can see. A test
that fails here names the file and the rule, and the rule's exceptions are listed at the top with their reasons.
"""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import require

ROOT = Path(__file__).parent.parent

# Side of the tree, as tests/ names it, and its import package.
PACKAGES = {
    "contract": ROOT / "contract" / "postroom_contract",
    "broker": ROOT / "broker" / "postroom_broker",
    "producer": ROOT / "producer" / "postroom",
    "worker": ROOT / "worker" / "postroom_worker",
}

# A reader holds about this much in mind; a longer module says in its docstring why it is one thing all the same.
LONGEST_MODULE = 300
REASON_TO_BE_LONGER = "Over 300 lines because"

# Names that say nothing of what is inside, so that anything ends up there.
BANNED_NAMES = {"utils", "util", "common", "helpers", "base", "manager", "core", "misc", "types"}

# Module (path inside the tree) without a test file of its own, and where its behaviour is tested instead.
NOT_MIRRORED: dict[str, str] = {}

# Test modules that may sleep or import redis, and why.
MAY_SLEEP = {"tests/support/waiting.py": "waits for a condition, with a deadline: what all others use"}
MAY_IMPORT_REDIS = {"tests/support/valkey.py": "hands out the one client that tests use"}

# Written in two halves, so that this file does not find itself.
REGISTRY_HOSTS = ["pypi" + ".org", "python" + "hosted.org", "npmjs" + ".org", "npmjs" + ".com", "deb.debian" + ".org"]
MACHINE_PATHS = re.compile(r"(?<![\w.}])/(?:work|root|Users|home|opt/pypi|opt/wheels)/" + r"[\w.-]+")

# File and the machine path that it may name, with the reason.
MAY_NAME_A_PATH: dict[tuple[str, str], str] = {}


def modules() -> Iterator[tuple[str, Path]]:
    """Yield each module of the four packages with the side it belongs to."""
    for side, package in PACKAGES.items():
        for path in sorted(package.rglob("*.py")):
            yield side, path


def python_tests() -> list[Path]:
    """List the Python files under tests/, less what npm brought."""
    return [path for path in sorted((ROOT / "tests").rglob("*.py")) if "node_modules" not in path.parts]


def name(path: Path) -> str:
    """Return the path inside the tree, as failures and exception lists write it."""
    return path.relative_to(ROOT).as_posix()


def test_all_four_packages_are_there() -> None:
    """The other tests look at something: each package has modules and says that it is typed."""
    assert {side for side, _ in modules()} == set(PACKAGES)
    assert all((package / "py.typed").exists() for package in PACKAGES.values())


@pytest.mark.parametrize("path", [path for _, path in modules()], ids=name)
def test_module_says_what_it_owns(path: Path) -> None:
    """Each module opens with a docstring of at least two sentences."""
    docstring = ast.get_docstring(ast.parse(path.read_text())) or ""

    assert len(re.findall(r"[.!?](?=\s|$)", docstring)) >= 2, f"{name(path)}: what it owns, what not, who calls it"


@pytest.mark.parametrize("path", [path for _, path in modules()], ids=name)
def test_module_is_short_or_says_why_not(path: Path) -> None:
    """A module over the ceiling gives its reason in its docstring; one under it gives none."""
    source = path.read_text()
    reasons = re.findall(rf"^{REASON_TO_BE_LONGER} \w.+", ast.get_docstring(ast.parse(source)) or "", re.MULTILINE)

    assert bool(reasons) == (len(source.splitlines()) > LONGEST_MODULE), (
        f"{name(path)} has {len(source.splitlines())} lines; "
        f'over {LONGEST_MODULE} its docstring has a line that starts "{REASON_TO_BE_LONGER}"'
    )


def test_no_module_or_folder_has_a_name_that_says_nothing() -> None:
    """Grab-bag names are refused for modules, folders and test support alike."""
    here = [path for _, path in modules()] + python_tests()
    wrong = [name(path) for path in here if BANNED_NAMES & set(Path(name(path)).with_suffix("").parts)]

    assert wrong == []


def test_each_module_has_a_test_file_beside_it() -> None:
    """`tests/<side>/test_<module>.py` exists for each module, or `NOT_MIRRORED` says where it is tested instead."""
    missing = [name(path) for side, path in modules() if path.stem != "__init__" and not _mirrors(side, path)]

    assert sorted(missing) == sorted(NOT_MIRRORED), "a module without a test file, or an exception that is not needed"


def test_every_folder_of_tests_is_a_package() -> None:
    """Test files of one name in two folders work only where each folder has an `__init__.py`."""
    folders = {path.parent for path in python_tests()}

    assert [name(folder) for folder in sorted(folders) if not (folder / "__init__.py").exists()] == []


def test_no_test_sleeps() -> None:
    """Tests wait for a condition (`tests/support/waiting.py`); only `asyncio.sleep(0)`, a mere yield, is free."""
    sleepers = {name(path) for path in python_tests() if any(_sleeps(path))}

    assert sleepers == set(MAY_SLEEP)


def test_only_test_support_imports_redis() -> None:
    """Tests reach Redis through `tests.support.valkey.connect`, so that one place knows the client library."""
    importers = {name(path) for path in python_tests() if "redis" in _imported(path)}

    assert importers == set(MAY_IMPORT_REDIS)


def test_no_file_names_a_package_registry() -> None:
    """Locks and scripts work with whatever index a machine has set up."""
    named = [(file, host) for file, text in _texts() for host in REGISTRY_HOSTS if host in text]

    assert named == []


def test_no_file_names_a_path_of_one_machine() -> None:
    """Nothing points into somebody's home or work directory."""
    named = {(file, found) for file, text in _texts() for found in MACHINE_PATHS.findall(text)}

    assert named == set(MAY_NAME_A_PATH)


def _mirrors(side: str, path: Path) -> bool:
    inside = path.relative_to(PACKAGES[side])
    return (ROOT / "tests" / side / inside.parent / f"test_{inside.stem.strip('_')}.py").exists()


def _sleeps(path: Path) -> Iterator[ast.Call]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"time.sleep", "asyncio.sleep", "sleep"}:
            only_yields = isinstance(node.args[0], ast.Constant) and node.args[0].value == 0
            if not only_yields:
                yield node


def _imported(path: Path) -> set[str]:
    imported: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").partition(".")[0])
    return imported


def _texts() -> Iterator[tuple[str, str]]:
    """Yield name and text of every file that is, or could be, checked in."""
    require("a git work tree", is_there=(ROOT / ".git").exists())
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],  # noqa: S607 - git is found on PATH
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for file in filter(None, listing.stdout.decode().split("\0")):
        if (ROOT / file).is_file():
            yield file, (ROOT / file).read_text(errors="replace")
