"""A worker that root has started but that may not read what root's files forbid.

Root passes every file permission by a capability; without it, a file of mode 0 is closed to root as to anybody. So the
permission rows of the error table are tested wherever the tests run. Linux only; elsewhere root's worker stays what it is.
"""

from __future__ import annotations

import ctypes
import os
import sys

# The arguments with which an interpreter becomes a worker that file permissions bind.
STARTER = ("-c", "from tests.support.unprivileged import run_worker; run_worker()")

# From <linux/prctl.h> and <linux/capability.h>.
PR_CAPBSET_DROP = 24
CAP_DAC_OVERRIDE = 1
CAP_DAC_READ_SEARCH = 2


def run_worker() -> None:
    """Give the capabilities up, then become the worker: a new program gets no more than is left."""
    if os.geteuid() == 0 and sys.platform == "linux":
        system = ctypes.CDLL(None, use_errno=True)
        for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
            if system.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
                raise OSError(ctypes.get_errno(), "cannot give up a capability")
    os.execv(sys.executable, [sys.executable, "-m", "postroom_worker", *sys.argv[1:]])  # noqa: S606 -- no shell is wanted
