"""How a connection names its broker: as the operator did, and without the password."""

from __future__ import annotations

from typing import Any

import pytest

from postroom_broker.transport import NamedConnection

TRANSPORT = "postroom_broker.transport:Transport"


@pytest.mark.parametrize(
    ("url", "options", "shown"),
    [
        ("redis://127.0.0.1:6380/2", {}, "redis://:**@127.0.0.1:6380/2"),
        ("redis://user:s3cret@there:6379/0", {}, "redis://user:**@there:6379/0"),
        ("rediss://:s3cret@there:6379/0", {"ssl": {"ssl_cert_reqs": "required"}}, "rediss://:**@there:6379/0"),
    ],
)
def test_the_name_is_a_redis_url(url: str, options: dict[str, Any], shown: str) -> None:
    """A copy of it, as Celery makes them, has the same."""
    connection = NamedConnection(url, transport=TRANSPORT, **options)

    assert connection.as_uri() == shown
    assert connection.clone().as_uri() == shown


def test_the_password_is_told_to_those_who_ask_for_it() -> None:
    """Flower connects by it, to count what waits."""
    connection = NamedConnection("redis://:s3cret@there:6379/0", transport=TRANSPORT)

    assert connection.as_uri(include_password=True) == "redis://:s3cret@there:6379/0"
