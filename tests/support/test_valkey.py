"""The server that other tests rely on: it keeps what it must, and the check for leaked keys sees what it should.

The rest of the suite trusts these parts, so they have tests of their own.
"""

from pathlib import Path

import pytest

from tests.support.leaked_keys import find_leaked_keys
from tests.support.valkey import ValkeyServer, connect


def test_append_only_server_keeps_what_it_acknowledged_when_it_is_killed(valkey_program: Path, tmp_path: Path) -> None:
    """A killed server with an append-only file has its data again after a restart, under the same URL."""
    with ValkeyServer(valkey_program, tmp_path, append_only=True) as server:
        with connect(server.url) as client:
            client.set("kept", "yes")
        url = server.url
        server.kill()
        server.start()

        assert server.url == url
        with connect(url) as client:
            assert client.get("kept") == b"yes"


def test_append_only_file_can_be_read(valkey_program: Path, tmp_path: Path) -> None:
    """What the server was told stands in its data directory, so that a test can search it for secrets."""
    with ValkeyServer(valkey_program, tmp_path, append_only=True) as server:
        with connect(server.url) as client:
            client.set("needle", "in the haystack")

        assert any(b"in the haystack" in file.read_bytes() for file in tmp_path.rglob("*.aof"))


def test_server_with_a_wrong_option_fails_at_once_and_says_why(valkey_program: Path, tmp_path: Path) -> None:
    """A server that ends during its start is reported with the end of its log, not with a timeout."""
    server = ValkeyServer(valkey_program, tmp_path, options=["--no-such-option", "1"])

    with pytest.raises(AssertionError, match=r"ended at once(.|\n)*no-such-option"):
        server.start()


def test_each_test_gets_an_empty_database(redis_url: str, request: pytest.FixtureRequest) -> None:
    """Nothing of an earlier test is seen by the next."""
    with connect(redis_url) as client:
        assert client.dbsize() == 0


@pytest.mark.parametrize("name", ["left-over", "postroom", "unacked2", "celery-task-meta-1", "_kombu"])
def test_key_without_expiry_is_found(redis_url: str, name: str) -> None:
    """A key that would stay for ever is named, whatever it is called."""
    with connect(redis_url) as client:
        client.set(name, 1)
        found = find_leaked_keys(redis_url)
        client.delete(name)

    assert found == [name]


def test_key_with_expiry_and_key_that_may_stay_are_not_found(redis_url: str) -> None:
    """Neither what expires nor what the transport keeps for good is a leak."""
    with connect(redis_url) as client:
        client.set("result", 1, ex=60)
        client.rpush("postroom.normal", "sealed")
        client.sadd("_kombu.binding.celery.pidbox", "x")

    assert find_leaked_keys(redis_url) == []
