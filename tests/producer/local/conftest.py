"""What the tests of local processes share: somebody who listens to its progress, and the noting of signals."""

from collections.abc import Iterator

import pytest

from postroom.local.interruption import Interruption


@pytest.fixture
def said() -> list[str]:
    """The progress lines so far."""
    return []


@pytest.fixture
def interruption(said: list[str]) -> Iterator[Interruption]:
    """Signals are noted while the test runs."""
    with Interruption(said.append) as noting:
        yield noting
