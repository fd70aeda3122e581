"""Attachments: what may be read below a root, what may not, and which error each refusal is."""

import asyncio
import os
import socket
import tempfile
import threading
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from postroom_contract.attachment import MOST_ATTACHMENT_BYTES, Attachment
from postroom_contract.errors import (
    ArgumentException,
    FileNotFoundException,
    IOException,
    PathTooLongException,
    PostroomError,
    SmtpCommandException,
    UnauthorizedAccessException,
)
from postroom_worker.attachments import load_attachments

NOBODY = 65534
SECRET = b"not for the recipient"


def load(*attachments: object, roots: Sequence[Path], most_bytes: int = MOST_ATTACHMENT_BYTES) -> tuple[bytes, ...]:
    """Load attachments as the worker does."""
    accepted = [Attachment.accept(attachment) for attachment in attachments]
    return asyncio.run(load_attachments(accepted, roots, most_bytes))


def denied(path: object, *roots: Path) -> str | None:
    """The reason why a path may not be read."""
    with pytest.raises(UnauthorizedAccessException) as refused:
        load(str(path), roots=roots)
    assert isinstance(refused.value, PermissionError)
    assert not refused.value.retryable
    return refused.value.reason


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root with a file, a folder with a file, and a secret beside it."""
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "key").write_bytes(SECRET)
    root = tmp_path / "root"
    (root / "folder").mkdir(parents=True)
    (root / "report.pdf").write_bytes(b"report")
    (root / "folder" / "deep.txt").write_bytes(b"deep")
    return root


def test_files_are_read_in_the_order_given(root: Path) -> None:
    """Absolute and relative paths, and contents that travelled with the message, side by side."""
    contents = load(str(root / "report.pdf"), {"name": "a", "content": b"here"}, "folder/deep.txt", roots=[root])

    assert contents == (b"report", b"here", b"deep")


def test_contents_need_no_root() -> None:
    """What the producer read is not the worker's file system's business; no attachment at all is none."""
    assert load({"name": "a", "content": b""}, roots=[]) == (b"",)
    assert load(roots=[]) == ()


def test_files_are_read_off_the_event_loop(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that answers slowly keeps a thread waiting, never the loop."""
    readers = set()
    original = os.fstat

    def watching(descriptor: int) -> os.stat_result:
        readers.add(threading.current_thread())
        return original(descriptor)

    monkeypatch.setattr(os, "fstat", watching)

    load("report.pdf", roots=[root])

    assert readers
    assert threading.main_thread() not in readers


@pytest.mark.parametrize("written", ["report.pdf ", "./report.pdf", ".//./report.pdf"])
def test_trailing_spaces_and_single_dots_mean_nothing(root: Path, written: str) -> None:
    """Trailing spaces are removed, as the block says; `.` is where one stands."""
    assert load(written, f"{root}/{written}", roots=[root]) == (b"report", b"report")


def test_second_root_serves_absolute_paths(root: Path, tmp_path: Path) -> None:
    """Every root is searched for an absolute path; a relative one starts at the first and nowhere else."""
    other = tmp_path / "other"
    other.mkdir()

    assert load(str(root / "report.pdf"), roots=[other, root]) == (b"report",)
    with pytest.raises(FileNotFoundException):
        load("report.pdf", roots=[other, root])


def test_root_may_be_a_link_itself(root: Path, tmp_path: Path) -> None:
    """The operator chose it; a path may name it by either spelling."""
    link = tmp_path / "link"
    link.symlink_to(root)

    assert load(str(link / "report.pdf"), "folder/deep.txt", roots=[link]) == (b"report", b"deep")
    assert load(str(root.resolve() / "report.pdf"), roots=[link]) == (b"report",)


def test_without_roots_no_path_is_read(root: Path) -> None:
    """The default: an operator has to allow a folder first."""
    assert denied(root / "report.pdf") == "no_roots"
    assert denied("report.pdf") == "no_roots"


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "/proc/self/environ",
        "/proc/self/fd/0",
        "/",
        "../secret/key",
        "folder/../../secret/key",
        "/..",
        "..",
    ],
)
def test_nothing_outside_the_roots_is_read(root: Path, path: str) -> None:
    """Absolute paths elsewhere, and every way up, also where it would come down again inside."""
    assert denied(path, root) == "outside_roots"


def test_folder_beside_the_root_with_the_same_beginning_is_outside(root: Path) -> None:
    """Roots are compared by components, not by letters."""
    beside = root.with_name("root-secret")
    beside.mkdir()
    (beside / "key").write_bytes(SECRET)

    assert denied(beside / "key", root) == "outside_roots"


@pytest.mark.parametrize("target", ["../secret/key", "report.pdf", "nowhere", "absolute"])
def test_link_is_not_followed(root: Path, target: str) -> None:
    """Neither out of the root nor inside it, whether it leads anywhere or not."""
    (root / "link").symlink_to(str(root.parent / "secret" / "key") if target == "absolute" else target)

    assert denied("link", root) == "is_link"
    assert denied(root / "link", root) == "is_link"


def test_linked_folder_is_not_followed(root: Path) -> None:
    """A link on the way is refused like one at the end."""
    (root / "up").symlink_to("../secret")
    (root / "same").symlink_to("folder")

    assert denied("up/key", root) == "is_link"
    assert denied("same/deep.txt", root) == "is_link"


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="a system without /proc")
def test_descriptor_of_this_process_is_no_file(root: Path) -> None:
    """Even below a root as foolish as /proc, magic links are links."""
    with (root.parent / "secret" / "key").open("rb") as secret:
        assert denied(f"fd/{secret.fileno()}", Path("/proc/self")) == "is_link"


def test_only_regular_files_are_read(shared_root: Path) -> None:
    """A FIFO without a writer does not hang the worker, a socket is no file."""
    os.mkfifo(shared_root / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(shared_root / "socket"))

    assert denied("fifo", shared_root) == "not_regular"
    assert denied("socket", shared_root) == "not_regular"


def test_device_is_not_read() -> None:
    """/dev/zero would never end."""
    assert denied("/dev/zero", Path("/dev")) == "not_regular"


@pytest.mark.parametrize("path", ["folder", "folder/", ".", "./"])
def test_folder_is_not_read(root: Path, path: str) -> None:
    """The block: a folder is an UnauthorizedAccessException; the root is one too."""
    assert denied(path, root) == "is_folder"
    assert denied(f"{root}/{path}", root) == "is_folder"


@pytest.mark.parametrize(
    "path", ["missing", "missing/deep.txt", "report.pdf/deep.txt", "report.pdf/", "C:\\Users\\ann\\report.pdf", "C:/a"]
)
def test_missing_file_is_not_found(root: Path, path: str) -> None:
    """The block's FileNotFoundException; a drive letter is a name like any other."""
    with pytest.raises(FileNotFoundException):
        load(path, roots=[root])


def test_syntax_is_refused_before_any_file_is_touched(root: Path) -> None:
    """The contract judges a path's writing: NUL, blank, leading spaces, too long."""
    for path, error in {
        "a\0b": ArgumentException,
        "  ": ArgumentException,
        " report.pdf": IOException,
        "a" * 300: PathTooLongException,
    }.items():
        with pytest.raises(error):
            load(path, roots=[root])


def test_path_may_be_too_long_for_the_system_only(root: Path) -> None:
    """What the contract lets pass and the file system does not is the same exception."""
    with pytest.raises(PostroomError) as refused:
        load("/".join(["a" * 250] * 16), roots=[root])

    assert isinstance(refused.value, FileNotFoundException | PathTooLongException)


def test_unreadable_file_is_denied(shared_root: Path) -> None:
    """No permission on the file or on a folder before it; what may be read still is."""
    (shared_root / "open.txt").write_bytes(b"open")
    (shared_root / "closed.txt").write_bytes(SECRET)
    (shared_root / "closed.txt").chmod(0)
    (shared_root / "closed").mkdir()
    (shared_root / "closed" / "a.txt").write_bytes(SECRET)
    (shared_root / "closed").chmod(0)

    with unprivileged():
        assert load("open.txt", roots=[shared_root]) == (b"open",)
        assert denied("closed.txt", shared_root) == "permission"
        assert denied("closed/a.txt", shared_root) == "permission"
    (shared_root / "closed").chmod(0o700)


@pytest.mark.skipif(not hasattr(os, "O_PATH"), reason="this system has no way to open a folder for searching only")
def test_folder_needs_search_permission_only(shared_root: Path) -> None:
    """A folder that may be entered but not listed is enough, as for any program."""
    (shared_root / "unlisted").mkdir()
    (shared_root / "unlisted" / "a.txt").write_bytes(b"open")
    (shared_root / "unlisted").chmod(0o711)

    with unprivileged():
        assert load("unlisted/a.txt", roots=[shared_root]) == (b"open",)


def test_cap_counts_all_attachments_together(root: Path) -> None:
    """Files and contents fill one measure; exactly full is not over."""
    both = ({"name": "a", "content": b"12345"}, "report.pdf")

    assert load(*both, roots=[root], most_bytes=11) == (b"12345", b"report")
    for attachments in (both, both[::-1]):
        with pytest.raises(SmtpCommandException) as refused:
            load(*attachments, roots=[root], most_bytes=10)
        assert (refused.value.reason, refused.value.smtp_code, refused.value.facts["limit"]) == ("too_large", 552, 10)


def test_huge_file_is_refused_unread(root: Path) -> None:
    """Ten sparse gigabytes are judged by their size; not even as much as the cap allows is read."""
    with (root / "huge").open("wb") as file:
        file.truncate(10 * 1000**3)

    tracemalloc.start()
    try:
        with pytest.raises(SmtpCommandException):
            load("huge", roots=[root])
        _, most_allocated = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert most_allocated < MOST_ATTACHMENT_BYTES / 10


def test_file_that_grows_while_it_is_read_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The size seen first is not trusted: what is read counts."""
    original = os.fstat

    def grow_afterwards(descriptor: int) -> os.stat_result:
        found = original(descriptor)
        with (root / "report.pdf").open("ab") as file:
            file.write(b"more" * 100)
        return found

    monkeypatch.setattr(os, "fstat", grow_afterwards)

    with pytest.raises(SmtpCommandException):
        load("report.pdf", roots=[root], most_bytes=50)


@pytest.mark.parametrize("swapped", ["folder", "folder/deep.txt"])
def test_swap_during_the_walk_leads_nowhere(root: Path, monkeypatch: pytest.MonkeyPatch, swapped: str) -> None:
    """A link put in place of a folder or file after the steps before it were taken is refused, not followed."""
    (root.parent / "secret" / "deep.txt").write_bytes(SECRET)
    last_step = Path(swapped).name

    def swap() -> None:
        (root / swapped).rename(root / "moved")
        (root / swapped).symlink_to(root.parent / "secret" / ("" if swapped == "folder" else "deep.txt"))

    _do_before_opening(last_step, swap, monkeypatch)

    assert denied("folder/deep.txt", root) == "is_link"


def test_swap_of_a_folder_already_entered_changes_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The walk holds on to the folder it entered, whatever takes its name."""
    (root.parent / "secret" / "deep.txt").write_bytes(SECRET)

    def swap() -> None:
        (root / "folder").rename(root / "moved")
        (root / "folder").symlink_to(root.parent / "secret")

    _do_before_opening("deep.txt", swap, monkeypatch)

    assert load("folder/deep.txt", roots=[root]) == (b"deep",)


def test_no_descriptor_stays_open(root: Path) -> None:
    """Neither success nor any refusal leaks one."""
    os.mkfifo(root / "fifo")
    (root / "link").symlink_to("report.pdf")
    descriptors = Path("/dev/fd")
    before = len(list(descriptors.iterdir()))

    load("folder/deep.txt", roots=[root])
    for path in ("folder", "fifo", "link", "missing", "folder/missing"):
        with pytest.raises(PostroomError):
            load(path, roots=[root])

    assert len(list(descriptors.iterdir())) == before


def test_refusal_names_no_path_where_logs_can_see_it(root: Path) -> None:
    """A path is the sender's own: the error's repr has its reason only."""
    with pytest.raises(UnauthorizedAccessException) as refused:
        load("/etc/personal-name.pdf", roots=[root])

    assert "personal-name" not in repr(refused.value)
    assert "path" not in refused.value.public_facts()


@pytest.fixture
def shared_root() -> Iterator[Path]:
    """A root that any user can reach, unlike pytest's own folders, and with a path short enough for a socket."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@contextmanager
def unprivileged() -> Iterator[None]:
    """Run as a user whom permissions bind, also where the tests run as root."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def _do_before_opening(step: str, act: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Act once, at the last moment before a step of the walk is taken."""
    original = os.open
    todo = [act]

    def opening(path: Any, *args: Any, **kwargs: Any) -> int:
        if str(path) == step and todo:
            todo.pop()()
        return original(path, *args, **kwargs)

    monkeypatch.setattr(os, "open", opening)
