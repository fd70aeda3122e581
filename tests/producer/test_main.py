"""`python -m postroom`: the command where no script folder is on PATH."""

import subprocess
import sys


def test_module_is_the_command() -> None:
    """It calls itself by the command's name and lists its commands."""
    done = subprocess.run([sys.executable, "-m", "postroom", "--help"], capture_output=True, text=True, check=True)

    assert done.stdout.startswith("Usage: postroom ")
    assert {"demo", "encrypt", "keygen", "send", "status", "worker"} <= set(done.stdout.split())
