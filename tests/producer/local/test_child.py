"""A process of ours: watched from its start to its end, and ended whatever it thinks of it."""

import json
import os
import sys
from pathlib import Path

import pytest

from postroom.local import child as child_module
from postroom.local.child import Child, ChildFailed
from postroom.local.interruption import Interruption

OBEDIENT = "print('here', flush=True); import time; time.sleep(600)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {OBEDIENT}"
SHORT_LIVED = "import sys; sys.exit('no room on board')"


def python(source: str, folder: Path) -> Child:
    """A process that runs this."""
    return Child("sailor", [sys.executable, "-c", source], folder, os.environ)


def is_gone(pid: int) -> bool:
    """Tell whether no process has this id any more."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.parametrize("source", [OBEDIENT, STUBBORN], ids=["obedient", "stubborn"])
def test_process_is_gone_when_its_block_ends(
    tmp_path: Path, interruption: Interruption, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    """It is asked first, and killed when it does not listen."""
    monkeypatch.setattr(child_module, "STOP_TIMEOUT_S", 0.5)
    with python(source, tmp_path) as sailor:
        sailor.wait_until_ready(lambda: "here" in sailor.log(), interruption)
        pid = sailor.pid
        assert not is_gone(pid)

    assert is_gone(pid)


def test_process_has_a_session_of_its_own(tmp_path: Path, interruption: Interruption) -> None:
    """Ctrl-C at our terminal does not reach it before us."""
    with python(OBEDIENT, tmp_path) as sailor:
        sailor.wait_until_ready(lambda: "here" in sailor.log(), interruption)

        assert os.getsid(sailor.pid) != os.getsid(0)


def test_process_that_ends_by_itself_is_told_with_its_last_words(tmp_path: Path, interruption: Interruption) -> None:
    """Nobody waits for a program that has given up."""
    with (
        python(SHORT_LIVED, tmp_path) as sailor,
        pytest.raises(ChildFailed, match=r"sailor has ended by itself \(exit code 1\):\nno room on board"),
    ):
        sailor.wait_until_ready(lambda: False, interruption)


def test_process_that_never_gets_ready_is_told(
    tmp_path: Path, interruption: Interruption, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wait has an end."""
    monkeypatch.setattr(child_module, "START_TIMEOUT_S", 0.1)
    with (
        python(OBEDIENT, tmp_path) as sailor,
        pytest.raises(ChildFailed, match=r"sailor is not ready after 0\.1 s"),
    ):
        sailor.wait_until_ready(lambda: False, interruption)


def test_process_may_be_given_longer_to_end(
    tmp_path: Path, interruption: Interruption, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker ends what it sends first."""
    monkeypatch.setattr(child_module, "STOP_TIMEOUT_S", 0.01)
    slow = (
        "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: (time.sleep(0.5), open('ended', 'w'), sys.exit()));"
        f"{OBEDIENT}"
    )
    with Child("sailor", [sys.executable, "-c", slow], tmp_path, os.environ, stop_timeout_s=30) as sailor:
        sailor.wait_until_ready(lambda: "here" in sailor.log(), interruption)

    assert (tmp_path / "ended").exists()


def test_process_keeps_open_what_it_is_given(tmp_path: Path, interruption: Interruption) -> None:
    """And nothing else that we have open."""
    held, not_held = os.pipe()
    listing = "import os; print('here', sorted(map(int, os.listdir('/proc/self/fd'))), flush=True); import time; time.sleep(600)"
    try:
        with Child("sailor", [sys.executable, "-c", listing], tmp_path, os.environ, held=[held]) as sailor:
            sailor.wait_until_ready(lambda: "here" in sailor.log(), interruption)
            descriptors = json.loads(sailor.log().removeprefix("here "))
    finally:
        os.close(held)
        os.close(not_held)

    assert held in descriptors
    assert not_held not in descriptors
