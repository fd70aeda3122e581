"""`postroom dead`: what is printed of dead letters, what is done with them, and the exit codes; all without keys."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from click.testing import Result

from postroom_broker.death_reasons import DeathReason, explain
from postroom_broker.keys import DEAD as DEAD_KEY
from postroom_broker.task_message import SealedDelivery, task_message
from postroom_broker.transport import envelope
from postroom_contract.names import QUEUE_NORMAL
from tests.producer.cli.conftest import Command
from tests.support.valkey import connect

Dead = Callable[..., Result]


@pytest.fixture
def client(redis_url: str) -> Iterator[Any]:
    """A plain client, with which the test looks and prepares."""
    with connect(redis_url) as client:
        yield client


@pytest.fixture
def dead(command: Command, redis_url: str) -> Dead:
    """Run `postroom dead` with no setting but the broker's URL."""

    def run(*arguments: str, **settings: str | None) -> Result:
        without_keys = {"POSTROOM_KEYS": None, "POSTROOM_PASSWORD_KEYS": None}
        return command("dead", *arguments, **{"POSTROOM_BROKER_URL": redis_url, **without_keys, **settings})

    return run


def bury(client: Any, *ids: str, reason: DeathReason = DeathReason.TOO_MANY_DELIVERIES, deliveries: int = 20) -> None:
    """Put a message for each id into the list, as the transport does."""
    for each in ids:
        text = task_message(SealedDelivery(each, QUEUE_NORMAL, "v1.sealedcanary"))
        client.rpush(DEAD_KEY, envelope.dead(text, reason=reason, deliveries=deliveries, queue=QUEUE_NORMAL))


def bury_rubbish(client: Any) -> None:
    """Put an entry into the list that no worker could read."""
    client.rpush(DEAD_KEY, envelope.dead("\udcff", reason="unreadable", deliveries=1, queue=QUEUE_NORMAL))


def lines(done: Result) -> list[dict[str, Any]]:
    """The JSON objects on standard output."""
    return [json.loads(line) for line in done.stdout.splitlines()]


def results(done: Result) -> list[tuple[str | None, str]]:
    """What came of each id."""
    return [(line["id"], line["result"]) for line in lines(done)]


def queued(client: Any) -> list[str]:
    """The ids in the queue, the next to be consumed first."""
    return [json.loads(text)["headers"]["id"] for text in reversed(client.lrange(QUEUE_NORMAL, 0, -1))]


def test_list_has_a_line_for_each_and_a_sum_for_people(dead: Dead, client: Any) -> None:
    """The newest first; nothing of the payload is shown."""
    bury(client, "a", "b")
    bury_rubbish(client)
    done = dead("list")

    assert done.exit_code == 0
    assert [line["id"] for line in lines(done)] == [None, "b", "a"]
    assert done.stderr == "postroom: 3 dead letters (2 too_many_deliveries, 1 unreadable)\n"
    assert "canary" not in done.output


def test_a_line_tells_what_is_known(dead: Dead, client: Any) -> None:
    """The fields that docs/commands.md promises."""
    bury(client, "a", deliveries=7)
    (line,) = lines(dead("list"))
    (size, died_at, handle) = (line.pop(name) for name in ("size", "died_at", "handle"))

    assert line == {
        "id": "a",
        "reason": "too_many_deliveries",
        "queue": QUEUE_NORMAL,
        "deliveries": 7,
        "task": "postroom.deliver",
        "retries": 0,
        "can_be_requeued": True,
    }
    assert size == len(task_message(SealedDelivery("a", QUEUE_NORMAL, "v1.sealedcanary")))
    assert died_at.endswith("+00:00")
    assert len(handle) == 16


def test_list_of_one_reason(dead: Dead, client: Any) -> None:
    """`--reason` leaves out all others; a reason that there is not is wrong usage."""
    bury(client, "a")
    bury_rubbish(client)

    assert [line["id"] for line in lines(dead("list", "--reason", "too_many_deliveries"))] == ["a"]
    assert dead("list", "--reason", "boredom").exit_code == 2


def test_an_empty_list_is_no_mistake(dead: Dead) -> None:
    """Nothing on standard output, and success; the same for all of nothing."""
    for arguments in (["list"], ["requeue", "--all"], ["drop", "--all", "--yes"]):
        done = dead(*arguments)
        assert (done.exit_code, done.stdout) == (0, "")
        assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("reason", DeathReason)
def test_show_says_why_and_what_to_do(dead: Dead, client: Any, reason: DeathReason) -> None:
    """By id and by handle alike, with the sentences of the one table, and never the payload."""
    bury(client, "a", "b", reason=reason)
    by_id = dead("show", "a")
    (line,) = lines(by_id)

    assert by_id.exit_code == 0
    assert (line["id"], line["reason"]) == ("a", reason.value)
    assert (line["explanation"], line["advice"]) == (explain(reason).what, explain(reason).advice)
    assert dead("show", line["handle"]).stdout == by_id.stdout
    assert "canary" not in by_id.output


def test_show_of_what_is_not_there(dead: Dead) -> None:
    """16, and a line that says so."""
    done = dead("show", "a")

    assert (done.exit_code, done.stdout) == (16, "")
    assert done.stderr == "postroom: no dead letter is called a\n"


def test_show_prints_every_entry_of_an_id(dead: Dead, client: Any) -> None:
    """One line each, with handles that tell them apart."""
    bury(client, "a", deliveries=1)
    bury(client, "a", deliveries=2)
    told = lines(dead("show", "a"))

    assert [line["deliveries"] for line in told] == [2, 1]
    assert len({line["handle"] for line in told}) == 2


def test_named_messages_are_requeued(dead: Dead, client: Any) -> None:
    """Those and no others, each once, whether it is named by id, by handle, or by both."""
    bury(client, "a", "b", "c")
    handle = lines(dead("show", "c"))[0]["handle"]
    done = dead("requeue", "a", handle, "c")

    assert done.exit_code == 0
    assert results(done) == [("a", "requeued"), ("c", "requeued")]
    assert done.stderr == "postroom: 2 requeued\n"
    assert sorted(queued(client)) == ["a", "c"]
    assert [line["id"] for line in lines(dead("list"))] == ["b"]


def test_names_that_are_not_there_do_not_stop_the_others(dead: Dead, client: Any) -> None:
    """The others are requeued, and the exit code is 16."""
    bury(client, "a")
    done = dead("requeue", "gone", "a")

    assert done.exit_code == 16
    assert results(done) == [("gone", "not_found"), ("a", "requeued")]
    assert queued(client) == ["a"]


def test_an_id_with_several_entries_is_not_guessed_at(dead: Dead, client: Any) -> None:
    """Nothing is done with them, the handles are told, and by its handle one of them is requeued."""
    bury(client, "a", deliveries=1)
    bury(client, "a", deliveries=2)
    bury(client, "b")
    done = dead("requeue", "a", "b")

    assert done.exit_code == 65
    assert results(done) == [("a", "ambiguous"), ("b", "requeued")]
    handles = [line["handle"] for line in lines(dead("show", "a"))]
    assert all(handle in done.stderr for handle in handles)
    assert results(dead("drop", handles[0], "--yes")) == [("a", "dropped")]
    assert results(dead("requeue", "a")) == [("a", "requeued")]


def test_what_nobody_could_read_is_kept_by_requeue(dead: Dead, client: Any) -> None:
    """It would be dead again at once: it stays, the others go, and the exit code is 65."""
    bury(client, "a")
    bury_rubbish(client)
    bury(client, "b")
    done = dead("requeue", "--all")

    assert done.exit_code == 65
    assert results(done) == [("b", "requeued"), (None, "kept"), ("a", "requeued")]
    assert done.stderr == "postroom: 2 requeued, 1 kept, because no worker could read it\n"
    assert client.llen(DEAD_KEY) == 1


def test_all_of_one_reason_are_requeued(dead: Dead, client: Any) -> None:
    """The others stay."""
    bury(client, "a", "b")
    bury(client, "c", reason=DeathReason.REJECTED)
    done = dead("requeue", "--all", "--reason", "too_many_deliveries")

    assert done.exit_code == 0
    assert sorted(queued(client)) == ["a", "b"]
    assert [line["id"] for line in lines(dead("list"))] == ["c"]


def test_rubbish_is_dropped_by_its_handle(dead: Dead, client: Any) -> None:
    """It has no other name."""
    bury_rubbish(client)
    (line,) = lines(dead("list"))
    done = dead("drop", line["handle"], "--yes")

    assert (done.exit_code, results(done)) == (0, [(None, "dropped")])
    assert client.keys() == []


def test_all_are_dropped(dead: Dead, client: Any) -> None:
    """And nothing is queued."""
    bury(client, "a", "b")
    bury_rubbish(client)
    done = dead("drop", "--all", "--yes")

    assert (done.exit_code, done.stderr) == (0, "postroom: 3 dropped\n")
    assert client.keys() == []


def test_no_keys_are_needed_and_no_other_url(dead: Dead, client: Any) -> None:
    """What the commands do not need may be wrong."""
    bury(client, "a")
    done = dead("requeue", "a", POSTROOM_KEYS="nonsense", POSTROOM_RESULT_URL="nonsense")

    assert (done.exit_code, results(done)) == (0, [("a", "requeued")])


def test_a_wrong_broker_url_is_a_wrong_setting(dead: Dead) -> None:
    """78, and the line names the variable."""
    done = dead("list", POSTROOM_BROKER_URL="localhost")

    assert (done.exit_code, done.stdout) == (78, "")
    assert "POSTROOM_BROKER_URL" in done.stderr


@pytest.mark.parametrize("arguments", [["list"], ["show", "a"], ["requeue", "a"], ["drop", "--all", "--yes"]])
def test_redis_away_is_one_line(dead: Dead, away_url: str, arguments: list[str]) -> None:
    """69, and where it was looked for."""
    done = dead(*arguments, POSTROOM_BROKER_URL=away_url)

    assert (done.exit_code, done.stdout) == (69, "")
    assert away_url in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_help_lists_the_four_commands(command: Command) -> None:
    """And says that no keys are needed."""
    told = command("dead", "--help").stdout

    assert all(f"\n  {name} " in told for name in ("list", "show", "requeue", "drop"))
    assert "no keys" in " ".join(told.split())
