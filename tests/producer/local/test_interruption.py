"""Being told to stop: noted at once, acted upon at the next pause, and never while cleaning up."""

import os
import signal

import pytest

from postroom.local.interruption import SIGNALS, Interruption


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_signal_ends_the_program_at_the_next_pause(interruption: Interruption, said: list[str], number: int) -> None:
    """The exit code is what a shell reports of a program that this signal ended."""
    os.kill(os.getpid(), number)
    with pytest.raises(SystemExit) as ended:
        interruption.pause()

    assert ended.value.code == 128 + number
    assert said == ["Interrupted: cleaning up"]


def test_wait_ends_with_the_condition_or_the_time(interruption: Interruption) -> None:
    """It tells which of the two it was."""
    looks = iter([False, False, True])

    assert interruption.wait_until(lambda: next(looks), 20)
    assert not interruption.wait_until(lambda: False, 0.01)


def test_wait_can_be_interrupted(interruption: Interruption) -> None:
    """Nobody has to wait for what will not happen."""
    os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(SystemExit):
        interruption.wait_until(lambda: False, 60)


def test_handlers_come_back(said: list[str]) -> None:
    """Afterwards signals do what they did before, and what was ignored has been all the time."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        ours = signal.getsignal(signal.SIGTERM)
        with Interruption(said.append):
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
            assert signal.getsignal(signal.SIGTERM) is not ours
        assert signal.getsignal(signal.SIGTERM) is ours
    finally:
        signal.signal(signal.SIGHUP, before)
