"""Runs a daemon and goes when all that it started has gone: `python -m tests.support.reaper PROGRAM ARGUMENT...`, Linux.

A daemon that is told to stop may leave children behind, still ending. They become children of this process, which goes
after the last of them: who waits for it knows that nothing runs any more.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
import sys

# From <linux/prctl.h>.
PR_SET_CHILD_SUBREAPER = 36


def main() -> None:
    """Run the daemon as the leader of its own process group, and wait."""
    system = ctypes.CDLL(None, use_errno=True)
    if system.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "cannot adopt the daemon's children")
    subprocess.Popen(sys.argv[1:], start_new_session=True)
    with contextlib.suppress(ChildProcessError):  # when there is none left
        while True:
            os.wait()


if __name__ == "__main__":
    main()
