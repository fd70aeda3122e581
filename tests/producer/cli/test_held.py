"""`postroom held`: what waits for an operator's word is listed, sent again and given up."""

import json
from typing import Any

import pytest

from postroom.mailer import Mailer
from postroom_broker import keys as places
from postroom_broker.ledger.record import record_key
from postroom_contract.delivery import Progress
from postroom_contract.sealing import Keyring
from tests.producer.cli.conftest import Command, Keys
from tests.support.payloads import BLOCK_MESSAGE, BLOCK_SESSION
from tests.support.valkey import connect

NOBODY = "0b0e7b3e-7a55-4f0e-9d4b-0c8a3c1d2e3f"


@pytest.fixture
def mailer(redis_url: str, keys: Keys) -> Mailer:
    """A mailer with the command's settings."""
    return Mailer.from_env({"POSTROOM_BROKER_URL": redis_url, "POSTROOM_KEYS": keys.sealing})


def hold(mailer: Mailer, redis_url: str, keys: Keys, held_at: float = 1_900_000_000) -> str:
    """A delivery as a worker leaves it that was told to hold it; return its id."""
    delivery_id = mailer.send(BLOCK_MESSAGE, BLOCK_SESSION, on_unknown="hold").id
    progress = Progress(attempts=1, in_doubt=("recipient@outlook.com",)).seal(delivery_id, Keyring.parse(keys.sealing))
    with connect(redis_url) as client:
        message = client.lpop("postroom.normal")
        told = {"state": "held", "progress": progress, "code": "1303", "reason": ""}
        client.hset(record_key(delivery_id), mapping=told)
        client.hset(places.DELAYED_MESSAGES, delivery_id, b"postroom.normal\n" + message)
        client.zadd(places.HELD, {delivery_id: held_at})
    return delivery_id


def lines(output: str) -> list[dict[str, Any]]:
    """What was printed, one object a line."""
    return [json.loads(line) for line in output.splitlines()]


def test_list_prints_a_line_for_each_the_oldest_first(
    command: Command, redis_url: str, mailer: Mailer, keys: Keys
) -> None:
    """Since when and why, in public words; a limit cuts the list."""
    second, first = hold(mailer, redis_url, keys), hold(mailer, redis_url, keys, held_at=1_800_000_000)
    done = command("held", "list", POSTROOM_BROKER_URL=redis_url)
    told = lines(done.stdout)

    assert (done.exit_code, done.stderr) == (0, "postroom: 2 held messages\n")
    assert [(one["id"], one["state"], one["held_at"]) for one in told] == [
        (first, "held", "2027-01-15T08:00:00+00:00"),
        (second, "held", "2030-03-17T17:46:40+00:00"),
    ]
    assert (told[0]["error"]["type"], told[0]["error"]["retryable"]) == ("UnknownOutcomeException", False)
    assert "outlook" not in done.stdout
    limited = command("held", "list", "--limit", "1", POSTROOM_BROKER_URL=redis_url)
    assert [one["id"] for one in lines(limited.stdout)] == [first]


def test_a_held_message_is_not_waited_for(command: Command, redis_url: str, mailer: Mailer, keys: Keys) -> None:
    """`status --wait` ends at once with 15, and tells why."""
    held = hold(mailer, redis_url, keys)
    done = command("status", held, "--wait", "1000", POSTROOM_BROKER_URL=redis_url)
    told = json.loads(done.stdout)

    assert (done.exit_code, told["state"], told["error"]["error_code"]) == (15, "held", 1303)


def test_send_queues_it_once_more(command: Command, redis_url: str, mailer: Mailer, keys: Keys) -> None:
    """It is due at once; a second word comes too late, and what was never held is answered truly."""
    held = hold(mailer, redis_url, keys)
    first = command("held", "send", held, POSTROOM_BROKER_URL=redis_url)
    second = command("held", "send", held, NOBODY, POSTROOM_BROKER_URL=redis_url)

    assert (first.exit_code, lines(first.stdout)) == (0, [{"id": held, "done": True, "state": "retrying"}])
    assert second.exit_code == 16
    assert [(one["done"], one["state"]) for one in lines(second.stdout)] == [(False, "retrying"), (False, "not_found")]
    with connect(redis_url) as client:
        assert [client.zcard(places.HELD), client.zcard(places.DELAYED)] == [0, 1]


def test_drop_gives_it_up_for_good(command: Command, redis_url: str, mailer: Mailer, keys: Keys) -> None:
    """Somebody may have got it, so the outcome is unknown; nothing of it is left to be sent."""
    held = hold(mailer, redis_url, keys)
    done = command("held", "drop", held, "--yes", POSTROOM_BROKER_URL=redis_url)
    status = command("status", held, POSTROOM_BROKER_URL=redis_url)

    assert (done.exit_code, lines(done.stdout)) == (0, [{"id": held, "done": True, "state": "unknown"}])
    assert (status.exit_code, json.loads(status.stdout)["error"]["error_code"]) == (12, 1303)
    assert mailer.receipt(held).outcome().unknown == ["recipient@outlook.com"]
    with connect(redis_url) as client:
        assert client.exists(places.HELD, places.DELAYED, places.DELAYED_MESSAGES) == 0


def test_drop_needs_consent(command: Command, redis_url: str, mailer: Mailer, keys: Keys) -> None:
    """Without a terminal to ask at, and without `--yes`, nothing is done."""
    held = hold(mailer, redis_url, keys)
    done = command("held", "drop", held, POSTROOM_BROKER_URL=redis_url)

    assert (done.exit_code, done.stdout) == (2, "")
    assert "--yes" in done.stderr
    assert [receipt.id for receipt, _ in mailer.held()] == [held]


def test_drop_takes_what_is_held_only(command: Command, redis_url: str, mailer: Mailer) -> None:
    """A message on its way is left alone: for that there is `schedule cancel`."""
    queued = mailer.send(BLOCK_MESSAGE, BLOCK_SESSION).id
    done = command("held", "drop", queued, NOBODY, "--yes", POSTROOM_BROKER_URL=redis_url)

    assert done.exit_code == 16
    assert [(one["done"], one["state"]) for one in lines(done.stdout)] == [(False, "queued"), (False, "not_found")]


def test_dead_messages_are_not_for_these_commands(command: Command, redis_url: str, mailer: Mailer) -> None:
    """They are held as well, but for another reason: `postroom dead` is for them."""
    dead = mailer.send(BLOCK_MESSAGE, BLOCK_SESSION).id
    with connect(redis_url) as client:
        client.hset(record_key(dead), mapping={"state": "held", "code": "1401", "reason": "unknown_key"})
    sent = command("held", "send", dead, POSTROOM_BROKER_URL=redis_url)
    dropped = command("held", "drop", dead, "--yes", POSTROOM_BROKER_URL=redis_url)

    assert (sent.exit_code, dropped.exit_code) == (16, 16)
    assert lines(dropped.stdout) == [{"id": dead, "done": False, "state": "held"}]
    told = f"postroom: it waits among the dead letters; `postroom dead show {dead}` says what to do\n"
    assert (sent.stderr, dropped.stderr) == (told, told)
    assert command("held", "list", POSTROOM_BROKER_URL=redis_url).stdout == ""


@pytest.mark.parametrize("arguments", [("list",), ("send", NOBODY), ("drop", NOBODY, "--yes")])
def test_redis_away_is_one_line(command: Command, away_url: str, arguments: tuple[str, ...]) -> None:
    """The address is named."""
    done = command("held", *arguments, POSTROOM_BROKER_URL=away_url)

    assert (done.exit_code, done.stdout) == (69, "")
    assert away_url in done.stderr
