"""`postroom schedule`: what waits is listed, called back and moved, and what does not is answered truly."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from postroom.mailer import Mailer
from postroom_broker import keys as places
from postroom_broker.ledger.record import record_key
from postroom_broker.transport.scripts import PROMOTE
from postroom_contract.outcome import State
from tests.producer.cli.conftest import Command, Keys
from tests.support.payloads import BLOCK_MESSAGE, BLOCK_SESSION
from tests.support.valkey import connect

NOBODY = "0b0e7b3e-7a55-4f0e-9d4b-0c8a3c1d2e3f"
NINE = datetime(2090, 3, 1, 8, tzinfo=UTC)


@pytest.fixture
def mailer(redis_url: str, keys: Keys) -> Mailer:
    """A mailer with the command's settings."""
    return Mailer.from_env({"POSTROOM_BROKER_URL": redis_url, "POSTROOM_KEYS": keys.sealing})


def schedule(mailer: Mailer, send_at: datetime | None = NINE) -> str:
    """Send a message at a time; return its id."""
    return mailer.send(BLOCK_MESSAGE, BLOCK_SESSION, send_at=send_at).id


def lines(output: str) -> list[dict[str, Any]]:
    """What was printed, one object a line."""
    return [json.loads(line) for line in output.splitlines()]


def test_list_prints_a_line_for_each_the_next_first(command: Command, redis_url: str, mailer: Mailer) -> None:
    """Id, state and time in UTC; what is queued is not among them, and a limit cuts the list."""
    later, first = schedule(mailer, NINE + timedelta(days=1)), schedule(mailer)
    schedule(mailer, None)
    done = command("schedule", "list", POSTROOM_BROKER_URL=redis_url)

    assert (done.exit_code, done.stderr) == (0, "")
    assert lines(done.stdout) == [
        {"id": first, "state": "scheduled", "send_at": "2090-03-01T08:00:00+00:00"},
        {"id": later, "state": "scheduled", "send_at": "2090-03-02T08:00:00+00:00"},
    ]
    limited = command("schedule", "list", "--limit", "1", POSTROOM_BROKER_URL=redis_url)
    assert [told["id"] for told in lines(limited.stdout)] == [first]
    assert command("schedule", "list", "--limit", "0", POSTROOM_BROKER_URL=redis_url).exit_code == 2


def test_an_empty_list_is_no_line(command: Command, redis_url: str) -> None:
    """And no failure."""
    done = command("schedule", "list", POSTROOM_BROKER_URL=redis_url)

    assert (done.exit_code, done.output) == (0, "")


def test_cancel_calls_back_and_says_so(command: Command, redis_url: str, mailer: Mailer) -> None:
    """Scheduled and queued ones alike, several at once, as often as one likes; `status` then ends with 13."""
    ids = [schedule(mailer), schedule(mailer, None)]
    for _ in range(2):
        done = command("schedule", "cancel", *ids, POSTROOM_BROKER_URL=redis_url)
        assert done.exit_code == 0
        assert lines(done.stdout) == [{"id": one, "done": True, "state": "cancelled"} for one in ids]
    status = command("status", ids[0], POSTROOM_BROKER_URL=redis_url)

    assert (status.exit_code, json.loads(status.stdout)["state"]) == (13, "cancelled")
    assert json.loads(status.stdout)["error"]["type"] == "CancelledException"
    assert command("schedule", "list", POSTROOM_BROKER_URL=redis_url).stdout == ""


def test_cancel_tells_truly_what_could_not_be_called_back(command: Command, redis_url: str, mailer: Mailer) -> None:
    """Too late, over and unknown: 16 for all together, a line for each, and the others are called back."""
    waiting, leaving, sent = schedule(mailer), schedule(mailer), schedule(mailer)
    with connect(redis_url) as client:
        client.hset(record_key(leaving), mapping={"state": "sending", "committed": "lease:1"})
        client.hset(record_key(sent), mapping={"state": "sent", "ended": "60"})
    done = command("schedule", "cancel", leaving, sent, NOBODY, waiting, POSTROOM_BROKER_URL=redis_url)

    assert done.exit_code == 16
    assert [(told["id"], told["done"], told["state"]) for told in lines(done.stdout)] == [
        (leaving, False, "sending"),
        (sent, False, "sent"),
        (NOBODY, False, "not_found"),
        (waiting, True, "cancelled"),
    ]


def test_move_gives_another_time(command: Command, redis_url: str, mailer: Mailer) -> None:
    """With the offset that was written; afterwards it waits for that."""
    one = schedule(mailer)
    done = command("schedule", "move", one, "2095-03-01T09:00:00+01:00", POSTROOM_BROKER_URL=redis_url)

    assert done.exit_code == 0
    assert lines(done.stdout) == [{"id": one, "done": True, "state": "scheduled"}]
    assert [due_at for _, due_at in mailer.scheduled()] == [datetime(2095, 3, 1, 8, tzinfo=UTC)]


def test_move_of_what_does_not_wait_is_answered_truly(command: Command, redis_url: str, mailer: Mailer) -> None:
    """Queued, called back or unknown: 16, and where it is."""
    queued, cancelled = schedule(mailer, None), schedule(mailer)
    mailer.receipt(cancelled).cancel()
    told = [
        (done.exit_code, json.loads(done.stdout)["done"], json.loads(done.stdout)["state"])
        for one in (queued, cancelled, NOBODY)
        for done in [command("schedule", "move", one, "2095-03-01T09:00:00Z", POSTROOM_BROKER_URL=redis_url)]
    ]

    assert told == [(16, False, "queued"), (16, False, "cancelled"), (16, False, "not_found")]


def test_move_into_the_past_is_now(command: Command, redis_url: str, mailer: Mailer) -> None:
    """The next worker that looks puts it into its queue."""
    one = schedule(mailer)
    command("schedule", "move", one, "2020-01-01T00:00:00Z", POSTROOM_BROKER_URL=redis_url)
    with connect(redis_url) as client:
        PROMOTE(client, [places.DELAYED, places.DELAYED_MESSAGES], [10])

    assert mailer.receipt(one).state() is State.QUEUED


@pytest.mark.parametrize(
    ("time", "complaint"),
    [("2030-03-01T09:00:00", "It needs an offset from UTC"), ("noon", "Write it as ISO 8601"), ("", "Write it as")],
)
def test_move_to_what_is_no_time(command: Command, redis_url: str, time: str, complaint: str) -> None:
    """One clear line, and nothing is moved."""
    done = command("schedule", "move", NOBODY, time, POSTROOM_BROKER_URL=redis_url)

    assert (done.exit_code, done.stdout) == (65, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"postroom: SendAt is not valid. {complaint}")


@pytest.mark.parametrize("arguments", [("list",), ("cancel", NOBODY), ("move", NOBODY, "2030-03-01T09:00:00Z")])
def test_redis_away_is_one_line(command: Command, away_url: str, arguments: tuple[str, ...]) -> None:
    """The address is named."""
    done = command("schedule", *arguments, POSTROOM_BROKER_URL=away_url)

    assert (done.exit_code, done.stdout) == (69, "")
    assert away_url in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_ids_are_required(command: Command) -> None:
    """Nothing to cancel is a slip."""
    assert command("schedule", "cancel").exit_code == 2
