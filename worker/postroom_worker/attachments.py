"""Attachments read from the worker's file system: only below the roots an operator allows, and never through a link.

Owns the walk from a root down to a file, one component at a time, so that nothing swapped in meanwhile leads out of the
root; and the cap on what is read. How paths are written is judged by the contract, what becomes of the contents is the
composer's business. `delivery` calls `load_attachments`.
"""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from postroom_contract.attachment import Attachment, file_error, too_large
from postroom_contract.error_codes import ErrorCode
from postroom_contract.errors import PostroomError, UnauthorizedAccessException

# A folder on the way needs search permission only, where the system can say so (O_PATH: Linux).
_FOLDER = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC
# O_NONBLOCK: opening a FIFO must not wait for its writer.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


async def load_attachments(
    attachments: Sequence[Attachment], roots: Sequence[Path], most_bytes: int
) -> tuple[bytes, ...]:
    """What each attachment holds, in order; files are read in a thread, so that a slow disk stops nobody else.

    Args:
        attachments: paths to read, or contents, which pass through.
        roots: absolute paths of the folders below which files may be read. A relative path starts at the first.
        most_bytes: the cap on all attachments together.

    Raises:
        UnauthorizedAccessException: the path lies outside the roots, goes through a link, or is no regular file; or
            the worker has no permission to read it.
        FileNotFoundException: there is no such file.
        PathTooLongException: the system says so.
        IOException: reading failed.
        SmtpCommandException: together they are over the cap.
    """
    if any(attachment.path is not None for attachment in attachments):
        return await asyncio.to_thread(_load_all, attachments, roots, most_bytes)
    return _load_all(attachments, roots, most_bytes)


def _load_all(attachments: Sequence[Attachment], roots: Sequence[Path], most_bytes: int) -> tuple[bytes, ...]:
    contents = []
    room = most_bytes
    for attachment in attachments:
        content = attachment.content if attachment.path is None else _read(attachment.path, roots, room)
        if content is None or len(content) > room:
            raise too_large(most_bytes)
        contents.append(content)
        room -= len(content)
    return tuple(contents)


def _read(path: str, roots: Sequence[Path], room: int) -> bytes | None:
    """The content of a file below the roots, or None where it is larger than the room left."""
    root, steps = _locate(path, roots)
    with _opened(root, steps, path) as descriptor:
        found = os.fstat(descriptor)
        if stat.S_ISDIR(found.st_mode):
            raise _denied(path, "is_folder")
        if not stat.S_ISREG(found.st_mode):
            raise _denied(path, "not_regular")
        if found.st_size > room:
            return None
        try:
            with open(descriptor, "rb", closefd=False) as file:
                # One byte more than fits tells a file that grew since from one that just fits.
                content = file.read(room + 1)
        except OSError as failed:
            raise file_error(failed, path) from failed
    return content if len(content) <= room else None


def _locate(path: str, roots: Sequence[Path]) -> tuple[Path, list[str]]:
    """The root that a path lies under, and the steps from there down to the file."""
    if not roots:
        raise _denied(path, "no_roots")
    steps = _steps(path)
    # `..` would be judged by the text here and by the links on disk there: refused, wherever it leads.
    if ".." in steps:
        raise _denied(path, "outside_roots")
    if not path.startswith("/"):
        return roots[0], steps
    for root in roots:
        # A root may be a link itself, and a path may name it either way.
        for spelling in (root, root.resolve()):
            start = _steps(str(spelling))
            if steps[: len(start)] == start:
                return root, steps[len(start) :]
    raise _denied(path, "outside_roots")


def _steps(path: str) -> list[str]:
    """The components of a path; a slash at its end asks for a folder, as the system reads it."""
    steps = [step for step in path.split("/") if step not in {"", "."}]
    return [*steps, "."] if steps and path.endswith("/") else steps


@contextmanager
def _opened(root: Path, steps: Sequence[str], path: str) -> Iterator[int]:
    """A descriptor of the file that the steps lead to, every folder on the way held open until it is there."""
    with ExitStack() as held:

        def step_into(step: str | Path, flags: int, folder: int | None) -> int:
            try:
                descriptor = os.open(step, flags, dir_fd=folder)
            except OSError as failed:
                raise _refusal(failed, step, folder, path) from failed
            held.callback(os.close, descriptor)
            return descriptor

        descriptor = step_into(root, _FOLDER, None)
        for step in steps[:-1]:
            descriptor = step_into(step, _FOLDER | os.O_NOFOLLOW, descriptor)
        for step in steps[-1:]:
            descriptor = step_into(step, _FILE, descriptor)
        yield descriptor


def _refusal(failed: OSError, step: str | Path, folder: int | None, path: str) -> PostroomError:
    """What to say when a step cannot be opened: systems disagree on the number for a link or a socket, so look."""
    try:
        mode = os.stat(step, dir_fd=folder, follow_symlinks=False).st_mode
    except OSError:
        return file_error(failed, path)
    if stat.S_ISLNK(mode) and folder is not None:
        return _denied(path, "is_link")
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode):
        return file_error(failed, path)
    return _denied(path, "not_regular")


def _denied(path: str, reason: str) -> UnauthorizedAccessException:
    return UnauthorizedAccessException(ErrorCode.ACCESS_DENIED, {"path": path, "reason": reason})
