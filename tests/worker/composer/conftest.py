"""Fixtures of the composer's tests: each way to read a composed mail."""

from collections.abc import Iterator

import pytest

from tests.conftest import require
from tests.worker.composer.readers import Reader, mailparser, mailparser_is_there, read_with_stdlib


@pytest.fixture(scope="session", params=["stdlib", "mailparser"])
def read(request: pytest.FixtureRequest) -> Iterator[Reader]:
    """A reader of mail; a test that asks for it runs once with each."""
    if request.param == "stdlib":
        yield read_with_stdlib
        return
    require("Node.js with the packages of tests/node (npm ci there)", is_there=mailparser_is_there())
    with mailparser() as reader:
        yield reader
